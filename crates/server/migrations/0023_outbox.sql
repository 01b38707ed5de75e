-- What is told to others about runs: to people's own servers, and back to code hosts.

CREATE TABLE notification_targets (
    id         TEXT NOT NULL PRIMARY KEY,
    name       TEXT NOT NULL,
    space_id   TEXT NOT NULL REFERENCES spaces (id),
    url        TEXT NOT NULL,
    secret     TEXT NOT NULL,
    states     TEXT NOT NULL,
    enabled    BOOLEAN NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT
);

-- States that runs entered while there was somebody to tell.
CREATE TABLE run_news (
    run_id        TEXT NOT NULL REFERENCES runs (id),
    state_version BIGINT NOT NULL,
    PRIMARY KEY (run_id, state_version)
);

CREATE TABLE deliveries (
    id             TEXT NOT NULL PRIMARY KEY,
    target_id      TEXT REFERENCES notification_targets (id),
    integration_id TEXT REFERENCES integrations (id),
    run_id         TEXT NOT NULL REFERENCES runs (id),
    state          TEXT NOT NULL,
    path           TEXT NOT NULL,
    body           TEXT NOT NULL,
    attempts       BIGINT NOT NULL,
    next_at        BIGINT NOT NULL,
    answer         TEXT,
    standing       TEXT NOT NULL,
    created_at     BIGINT NOT NULL,
    ended_at       BIGINT
);

CREATE INDEX deliveries_waiting ON deliveries (next_at) WHERE standing = 'WAITING';
CREATE INDEX deliveries_by_target ON deliveries (target_id, id);
CREATE INDEX deliveries_by_integration ON deliveries (integration_id, id);
CREATE INDEX deliveries_ended ON deliveries (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX deliveries_by_run ON deliveries (run_id, id);
