-- Code hosts: how they are reached, what they told, what was seen of them.

CREATE TABLE integrations (
    id             TEXT NOT NULL PRIMARY KEY,
    name           TEXT NOT NULL,
    space_id       TEXT NOT NULL REFERENCES spaces (id),
    vendor         TEXT NOT NULL,
    url_prefix     TEXT NOT NULL,
    api_url        TEXT,
    username       TEXT,
    token          TEXT,
    webhook_secret TEXT NOT NULL,
    poll_seconds   BIGINT,
    created_at     BIGINT NOT NULL,
    updated_at     BIGINT NOT NULL,
    deleted_at     BIGINT
);

-- What a host told, once per delivery, until it was acted upon.
CREATE TABLE pushes (
    id             TEXT NOT NULL PRIMARY KEY,
    integration_id TEXT NOT NULL REFERENCES integrations (id),
    delivery       TEXT NOT NULL,
    push           TEXT NOT NULL,
    attempts       BIGINT NOT NULL,
    next_at        BIGINT NOT NULL,
    outcome        TEXT,
    received_at    BIGINT NOT NULL,
    handled_at     BIGINT
);

CREATE UNIQUE INDEX pushes_once ON pushes (integration_id, delivery);
CREATE INDEX pushes_waiting ON pushes (next_at) WHERE handled_at IS NULL;
CREATE INDEX pushes_handled ON pushes (handled_at) WHERE handled_at IS NOT NULL;

-- The newest commit of each branch that a stack was told of: the same one starts nothing again.
CREATE TABLE branch_pushes (
    stack_id TEXT NOT NULL REFERENCES stacks (id),
    branch   TEXT NOT NULL,
    hash     TEXT NOT NULL,
    at       BIGINT NOT NULL,
    PRIMARY KEY (stack_id, branch)
);

-- Repositories that are asked in turns, and the branches they had.
CREATE TABLE polls (
    integration_id TEXT NOT NULL REFERENCES integrations (id),
    url            TEXT NOT NULL,
    next_at        BIGINT NOT NULL,
    failures       BIGINT NOT NULL,
    error          TEXT,
    asked_at       BIGINT,
    PRIMARY KEY (integration_id, url)
);

CREATE TABLE polled_heads (
    integration_id TEXT NOT NULL REFERENCES integrations (id),
    url            TEXT NOT NULL,
    branch         TEXT NOT NULL,
    hash           TEXT NOT NULL,
    PRIMARY KEY (integration_id, url, branch)
);

CREATE INDEX stacks_by_url ON stacks (url) WHERE deleted_at IS NULL;
