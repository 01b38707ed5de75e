-- Pools of VCS agents, their keys, and what went through them lately.

CREATE TABLE vcs_pools (
    id          TEXT NOT NULL PRIMARY KEY,
    -- Stands in `private://<name>/…`, lower case.
    name        TEXT NOT NULL,
    description TEXT,
    space_id    TEXT NOT NULL REFERENCES spaces (id),
    created_by  TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    deleted_at  BIGINT
);

CREATE UNIQUE INDEX vcs_pools_by_name ON vcs_pools (name) WHERE deleted_at IS NULL;
CREATE INDEX vcs_pools_by_space ON vcs_pools (space_id, id);

-- One current key, and while a reset overlaps also former ones. Only digests are kept.
CREATE TABLE vcs_pool_keys (
    id         TEXT NOT NULL PRIMARY KEY,
    pool_id    TEXT NOT NULL REFERENCES vcs_pools (id),
    key_hash   TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    retires_at BIGINT
);

CREATE INDEX vcs_pool_keys_by_pool ON vcs_pool_keys (pool_id, id);
CREATE UNIQUE INDEX vcs_pool_keys_current ON vcs_pool_keys (pool_id) WHERE retires_at IS NULL;

-- The newest requests of each pool; older ones go.
CREATE TABLE vcs_requests (
    pool_id        TEXT NOT NULL REFERENCES vcs_pools (id),
    id             TEXT NOT NULL,
    at             BIGINT NOT NULL,
    purpose        TEXT NOT NULL,
    method         TEXT NOT NULL,
    path           TEXT NOT NULL,
    outcome        TEXT NOT NULL,
    detail         TEXT,
    status         BIGINT,
    bytes_sent     BIGINT NOT NULL,
    bytes_received BIGINT NOT NULL,
    millis         BIGINT NOT NULL,
    agent          TEXT,
    PRIMARY KEY (pool_id, id)
);

CREATE INDEX vcs_requests_by_time ON vcs_requests (pool_id, at);

-- Whether a pool's name is used, asked before it changes.
CREATE INDEX integrations_by_prefix ON integrations (url_prefix) WHERE deleted_at IS NULL;
CREATE INDEX integrations_by_api ON integrations (api_url) WHERE deleted_at IS NULL;
