-- Contexts: variables, files and hooks that stacks share.

CREATE TABLE contexts (
    id          TEXT NOT NULL PRIMARY KEY,
    name        TEXT NOT NULL,
    description TEXT,
    labels      TEXT NOT NULL,
    space_id    TEXT NOT NULL REFERENCES spaces (id),
    hooks       TEXT NOT NULL,
    autoattach  BOOLEAN NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    deleted_at  BIGINT
);

CREATE INDEX contexts_that_attach ON contexts (id) WHERE autoattach AND deleted_at IS NULL;

CREATE TABLE context_config (
    context_id  TEXT NOT NULL REFERENCES contexts (id),
    id          TEXT NOT NULL,
    kind        TEXT NOT NULL,
    value       TEXT,
    sealed      TEXT,
    checksum    TEXT NOT NULL,
    description TEXT,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (context_id, id)
);

-- Attached by hand; what labels attach is computed.
CREATE TABLE context_attachments (
    context_id  TEXT NOT NULL REFERENCES contexts (id),
    stack_id    TEXT NOT NULL REFERENCES stacks (id),
    priority    BIGINT NOT NULL,
    attached_at BIGINT NOT NULL,
    PRIMARY KEY (context_id, stack_id)
);

CREATE INDEX context_attachments_by_stack ON context_attachments (stack_id);

ALTER TABLE stack_config ADD COLUMN description TEXT;
