-- Launchers, leases, inboxes, logs, packed workspaces, managed state, worker binaries.
-- Portable between SQLite and PostgreSQL (BLOB is BYTEA there). Times are Unix milliseconds.

CREATE TABLE launchers (
    id            TEXT NOT NULL PRIMARY KEY,
    pool_id       TEXT NOT NULL REFERENCES pools (id),
    public_key    TEXT NOT NULL,
    machine       TEXT NOT NULL,
    about         TEXT NOT NULL,
    address       TEXT NOT NULL,
    epoch         BIGINT NOT NULL,
    process       TEXT NOT NULL,
    taken_over_at BIGINT NOT NULL,
    seen_at       BIGINT NOT NULL,
    free_slots    BIGINT NOT NULL,
    intake        TEXT NOT NULL,
    standing      TEXT NOT NULL,
    standing_note TEXT,
    standing_at   BIGINT NOT NULL,
    last_message  BIGINT NOT NULL,
    enrolled_at   BIGINT NOT NULL
);

CREATE UNIQUE INDEX launchers_by_key ON launchers (public_key);
CREATE INDEX launchers_by_pool ON launchers (pool_id, standing, id);

-- Proofs already used; a row lives as long as its nonce would.
CREATE TABLE used_nonces (
    nonce      TEXT NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
);

CREATE INDEX used_nonces_by_expiry ON used_nonces (expires_at);

CREATE INDEX runs_by_state ON runs (state, pool_id, id);

CREATE TABLE leases (
    run_id      TEXT NOT NULL REFERENCES runs (id),
    attempt     BIGINT NOT NULL,
    launcher_id TEXT NOT NULL REFERENCES launchers (id),
    stage       TEXT NOT NULL,
    standing    TEXT NOT NULL,
    standing_at BIGINT NOT NULL,
    renewed_at  BIGINT NOT NULL,
    leased_at   BIGINT NOT NULL,
    stop_sent   BOOLEAN NOT NULL,
    PRIMARY KEY (run_id, attempt)
);

CREATE INDEX leases_by_standing ON leases (standing, renewed_at);
CREATE INDEX leases_by_launcher ON leases (launcher_id, standing);

-- Ids count per launcher; an acknowledged message is gone.
CREATE TABLE inbox (
    launcher_id TEXT NOT NULL REFERENCES launchers (id),
    id          BIGINT NOT NULL,
    kind        TEXT NOT NULL,
    run_id      TEXT,
    attempt     BIGINT,
    content     TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (launcher_id, id)
);

CREATE INDEX inbox_by_run ON inbox (run_id, attempt);

-- `raw_offset` counts bytes as the tool printed them, `stored_bytes` as they are kept (masked).
CREATE TABLE log_sections (
    run_id        TEXT NOT NULL REFERENCES runs (id),
    attempt       BIGINT NOT NULL,
    section       BIGINT NOT NULL,
    state         TEXT NOT NULL,
    state_version BIGINT NOT NULL,
    raw_offset    BIGINT NOT NULL,
    stored_bytes  BIGINT NOT NULL,
    inline_bytes  BIGINT NOT NULL,
    PRIMARY KEY (run_id, attempt, section)
);

CREATE UNIQUE INDEX log_sections_by_version ON log_sections (run_id, state_version);

-- One of `data` and `blob` is set: small pieces stand here until they are worth an object.
CREATE TABLE log_chunks (
    run_id  TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    section BIGINT NOT NULL,
    start   BIGINT NOT NULL,
    length  BIGINT NOT NULL,
    data    BLOB,
    blob    TEXT,
    PRIMARY KEY (run_id, attempt, section, start),
    CHECK ((data IS NULL) <> (blob IS NULL))
);

CREATE TABLE run_results (
    run_id      TEXT NOT NULL REFERENCES runs (id),
    attempt     BIGINT NOT NULL,
    counted     BOOLEAN NOT NULL,
    body        TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    PRIMARY KEY (run_id, attempt)
);

CREATE TABLE workspaces (
    run_id      TEXT NOT NULL REFERENCES runs (id),
    attempt     BIGINT NOT NULL,
    blob        TEXT NOT NULL,
    sealed      TEXT NOT NULL,
    plan        TEXT NOT NULL,
    attestation TEXT NOT NULL,
    size        BIGINT NOT NULL,
    stored_at   BIGINT NOT NULL,
    PRIMARY KEY (run_id, attempt)
);

-- Managed state: one row per write that was accepted, sealed bytes in `blob`.
CREATE TABLE state_versions (
    stack_id   TEXT NOT NULL REFERENCES stacks (id),
    version    BIGINT NOT NULL,
    run_id     TEXT NOT NULL REFERENCES runs (id),
    attempt    BIGINT NOT NULL,
    lineage    TEXT NOT NULL,
    serial     BIGINT NOT NULL,
    digest     TEXT NOT NULL,
    size       BIGINT NOT NULL,
    blob       TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (stack_id, version)
);

CREATE TABLE state_locks (
    stack_id TEXT NOT NULL PRIMARY KEY REFERENCES stacks (id),
    lock_id  TEXT NOT NULL,
    run_id   TEXT NOT NULL REFERENCES runs (id),
    attempt  BIGINT NOT NULL,
    info     TEXT NOT NULL,
    taken_at BIGINT NOT NULL
);

-- States that a tool could not write back; sealed to the pool's key by the launcher.
CREATE TABLE errored_states (
    run_id    TEXT NOT NULL REFERENCES runs (id),
    attempt   BIGINT NOT NULL,
    blob      TEXT NOT NULL,
    digest    TEXT NOT NULL,
    size      BIGINT NOT NULL,
    stored_at BIGINT NOT NULL,
    PRIMARY KEY (run_id, attempt)
);

CREATE TABLE worker_binaries (
    arch     TEXT NOT NULL,
    digest   TEXT NOT NULL,
    version  TEXT NOT NULL,
    manifest TEXT NOT NULL,
    size     BIGINT NOT NULL,
    blob     TEXT NOT NULL,
    added_at BIGINT NOT NULL,
    PRIMARY KEY (arch, digest)
);
