-- Ended runs, and which of them nothing needs any more.

CREATE INDEX runs_by_end ON runs (entered_at)
    WHERE state IN ('FINISHED', 'FAILED', 'STOPPED', 'DISCARDED', 'CANCELED', 'SKIPPED');
CREATE INDEX state_versions_by_run ON state_versions (run_id);
CREATE INDEX state_locks_by_run ON state_locks (run_id);
CREATE INDEX stacks_by_destroyer ON stacks (deleted_by_run) WHERE deleted_by_run IS NOT NULL;
CREATE INDEX run_plans_stored ON run_plans (stored_at) WHERE blob IS NOT NULL;

-- A run stays while it says something about its stack (the newest of all, the newest but previews), wrote a state that is
-- kept or could not be written back, or something is still to be done about it.
CREATE VIEW spent_runs AS
    SELECT r.id, r.entered_at FROM runs r
    WHERE r.state IN ('FINISHED', 'FAILED', 'STOPPED', 'DISCARDED', 'CANCELED', 'SKIPPED')
      AND NOT r.holds_lock
      AND EXISTS (SELECT 1 FROM runs n WHERE n.stack_id = r.stack_id AND n.id > r.id)
      AND (r.run_type = 'PROPOSED' OR EXISTS
        (SELECT 1 FROM runs n WHERE n.stack_id = r.stack_id AND n.run_type <> 'PROPOSED' AND n.id > r.id))
      AND NOT EXISTS (SELECT 1 FROM state_versions s WHERE s.run_id = r.id)
      AND NOT EXISTS (SELECT 1 FROM state_locks k WHERE k.run_id = r.id)
      AND NOT EXISTS (SELECT 1 FROM errored_states e WHERE e.run_id = r.id)
      AND NOT EXISTS (SELECT 1 FROM workspaces w WHERE w.run_id = r.id)
      AND NOT EXISTS (SELECT 1 FROM leases l WHERE l.run_id = r.id AND l.standing <> 'ENDED')
      AND NOT EXISTS (SELECT 1 FROM drift_schedules d WHERE d.run_id = r.id)
      AND NOT EXISTS (SELECT 1 FROM stacks t WHERE t.deleted_by_run = r.id)
      AND NOT EXISTS (SELECT 1 FROM deliveries o WHERE o.run_id = r.id AND o.ended_at IS NULL)
      AND NOT EXISTS (SELECT 1 FROM run_news a WHERE a.run_id = r.id);
