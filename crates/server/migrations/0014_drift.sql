-- When stacks are looked at for differences from what was deployed. `next_at` is when the next look is due; `run_id` is the
-- look that nobody has drawn a consequence from yet.

CREATE TABLE drift_schedules (
    stack_id  TEXT NOT NULL PRIMARY KEY REFERENCES stacks (id),
    crons     TEXT NOT NULL,
    zone      TEXT NOT NULL,
    reconcile TEXT NOT NULL,
    next_at   BIGINT NOT NULL,
    run_id    TEXT REFERENCES runs (id)
);

CREATE INDEX drift_schedules_by_time ON drift_schedules (next_at);
CREATE INDEX drift_schedules_by_run ON drift_schedules (run_id) WHERE run_id IS NOT NULL;
