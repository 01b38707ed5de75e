-- Uploaded files and variables of single runs, replans, queue order, stacks that are off or being deleted.

ALTER TABLE runs ADD COLUMN cause TEXT NOT NULL DEFAULT 'ASKED';
ALTER TABLE runs ADD COLUMN urgency TEXT NOT NULL DEFAULT 'NORMAL';
ALTER TABLE runs ADD COLUMN scope TEXT NOT NULL DEFAULT 'WHOLE';
ALTER TABLE runs ADD COLUMN targets TEXT NOT NULL DEFAULT '[]';

CREATE INDEX runs_by_stack_type ON runs (stack_id, run_type, id);

ALTER TABLE stacks ADD COLUMN availability TEXT NOT NULL DEFAULT 'ENABLED';
ALTER TABLE stacks ADD COLUMN deleted_by_run TEXT REFERENCES runs (id);

-- Of the permission to upload only a digest is kept. `blob` is set once, by the upload; `run_id` once, by the run.
CREATE TABLE local_workspaces (
    id           TEXT NOT NULL PRIMARY KEY,
    stack_id     TEXT NOT NULL REFERENCES stacks (id),
    permission   TEXT NOT NULL,
    upload_until BIGINT NOT NULL,
    created_at   BIGINT NOT NULL,
    blob         TEXT,
    digest       TEXT,
    size         BIGINT,
    run_id       TEXT REFERENCES runs (id)
);

CREATE UNIQUE INDEX local_workspaces_by_run ON local_workspaces (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX local_workspaces_by_stack ON local_workspaces (stack_id, created_at);

-- Variables for one run alone, sealed with the master key.
CREATE TABLE run_overrides (
    run_id   TEXT NOT NULL REFERENCES runs (id),
    position BIGINT NOT NULL,
    name     TEXT NOT NULL,
    sealed   TEXT NOT NULL,
    PRIMARY KEY (run_id, position)
);
