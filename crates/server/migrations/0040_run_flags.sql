-- What policies noted about runs, for other policies, for launchers and for people; each by whom.

CREATE TABLE run_flags (
    run_id    TEXT NOT NULL REFERENCES runs (id),
    flag      TEXT NOT NULL,
    policy_id TEXT NOT NULL REFERENCES policies (id),
    id        TEXT NOT NULL,
    PRIMARY KEY (run_id, flag, policy_id)
);

CREATE INDEX runs_in_review ON runs (id) WHERE state = 'PENDING_REVIEW';
