-- Spaces, keys, pools, stacks, runs, audit. Portable between SQLite and PostgreSQL.
-- Times are Unix milliseconds. Ids of runs, pools and audit lines are ULIDs: they sort by creation.
-- Enumerations are stored under their documented names; lists and maps as JSON text.

CREATE TABLE spaces (
    id          TEXT NOT NULL PRIMARY KEY,
    name        TEXT NOT NULL,
    description TEXT,
    parent_id   TEXT REFERENCES spaces (id)
);

INSERT INTO spaces (id, name, description, parent_id) VALUES ('root', 'root', NULL, NULL);

CREATE TABLE api_keys (
    id          TEXT NOT NULL PRIMARY KEY,
    name        TEXT NOT NULL,
    role        TEXT NOT NULL,
    secret_hash TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    revoked_at  BIGINT
);

-- The server's own private keys, sealed with the master key.
CREATE TABLE server_keys (
    id         TEXT NOT NULL PRIMARY KEY,
    purpose    TEXT NOT NULL,
    sealed     TEXT NOT NULL,
    public_key TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    retired_at BIGINT
);

CREATE INDEX server_keys_by_purpose ON server_keys (purpose, created_at);

CREATE TABLE pools (
    id          TEXT NOT NULL PRIMARY KEY,
    name        TEXT NOT NULL,
    description TEXT,
    labels      TEXT NOT NULL,
    space_id    TEXT NOT NULL REFERENCES spaces (id),
    csr         TEXT NOT NULL,
    certificate TEXT NOT NULL,
    public_key  TEXT NOT NULL,
    created_by  TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    deleted_at  BIGINT
);

CREATE TABLE stacks (
    id               TEXT NOT NULL PRIMARY KEY,
    name             TEXT NOT NULL,
    description      TEXT,
    space_id         TEXT NOT NULL REFERENCES spaces (id),
    labels           TEXT NOT NULL,
    url              TEXT NOT NULL,
    namespace        TEXT NOT NULL,
    repository       TEXT NOT NULL,
    branch           TEXT NOT NULL,
    project_root     TEXT NOT NULL,
    runner_image     TEXT,
    vendor           TEXT NOT NULL,
    workflow_tool    TEXT NOT NULL,
    tool_version     TEXT,
    pool_id          TEXT REFERENCES pools (id),
    approval         TEXT NOT NULL,
    hooks            TEXT NOT NULL,
    administrative   BOOLEAN NOT NULL,
    local_preview    BOOLEAN NOT NULL,
    state_keeper     TEXT NOT NULL,
    tracked_commit   TEXT,
    locked_by        TEXT,
    locked_note      TEXT,
    created_at       BIGINT NOT NULL,
    deleted_at       BIGINT
);

CREATE INDEX stacks_by_creation ON stacks (created_at, id);
CREATE INDEX stacks_by_repository ON stacks (namespace, repository);
CREATE INDEX stacks_by_pool ON stacks (pool_id);

-- One of `value` and `sealed` is set: write-only values are never stored in the clear.
CREATE TABLE stack_config (
    stack_id   TEXT NOT NULL REFERENCES stacks (id),
    id         TEXT NOT NULL,
    kind       TEXT NOT NULL,
    value      TEXT,
    sealed     TEXT,
    checksum   TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (stack_id, id),
    CHECK ((value IS NULL) <> (sealed IS NULL))
);

CREATE TABLE runs (
    id             TEXT NOT NULL PRIMARY KEY,
    stack_id       TEXT NOT NULL REFERENCES stacks (id),
    pool_id        TEXT NOT NULL REFERENCES pools (id),
    run_type       TEXT NOT NULL,
    state          TEXT NOT NULL,
    state_version  BIGINT NOT NULL,
    attempt        BIGINT NOT NULL,
    contact        TEXT NOT NULL,
    approval       TEXT NOT NULL,
    task_init      TEXT NOT NULL,
    stop           TEXT NOT NULL,
    stop_note      TEXT,
    holds_lock     BOOLEAN NOT NULL,
    title          TEXT NOT NULL,
    commit_info    TEXT NOT NULL,
    triggered_by   TEXT,
    command        TEXT,
    metadata       TEXT NOT NULL,
    settings       TEXT NOT NULL,
    image          TEXT,
    plan           TEXT,
    note           TEXT,
    created_at     BIGINT NOT NULL,
    entered_at     BIGINT NOT NULL
);

CREATE INDEX runs_by_stack ON runs (stack_id, id);
CREATE INDEX runs_by_stack_state ON runs (stack_id, state, id);
CREATE INDEX runs_by_pool ON runs (pool_id, state, id);

-- The database itself refuses a second holder of a stack's lock.
CREATE UNIQUE INDEX runs_lock_holder ON runs (stack_id) WHERE holds_lock;

CREATE TABLE run_transitions (
    run_id        TEXT NOT NULL REFERENCES runs (id),
    state_version BIGINT NOT NULL,
    state         TEXT NOT NULL,
    entered_at    BIGINT NOT NULL,
    username      TEXT,
    note          TEXT,
    PRIMARY KEY (run_id, state_version)
);

CREATE TABLE audit (
    id      TEXT NOT NULL PRIMARY KEY,
    at      BIGINT NOT NULL,
    actor   TEXT NOT NULL,
    action  TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail  TEXT NOT NULL
);

CREATE INDEX audit_by_subject ON audit (subject, id);
