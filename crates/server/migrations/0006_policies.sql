-- Policies, where they are attached, what they said, what reviewers said.

CREATE TABLE policies (
    id          TEXT NOT NULL PRIMARY KEY,
    name        TEXT NOT NULL,
    description TEXT,
    kind        TEXT NOT NULL,
    body        TEXT NOT NULL,
    labels      TEXT NOT NULL,
    space_id    TEXT NOT NULL REFERENCES spaces (id),
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    deleted_at  BIGINT
);

-- Attached by hand; what labels attach is computed.
CREATE TABLE policy_attachments (
    policy_id   TEXT NOT NULL REFERENCES policies (id),
    stack_id    TEXT NOT NULL REFERENCES stacks (id),
    attached_at BIGINT NOT NULL,
    PRIMARY KEY (policy_id, stack_id)
);

-- The newest evaluations of each policy. `input` is missing where it was too large to keep.
CREATE TABLE policy_samples (
    id        TEXT NOT NULL PRIMARY KEY,
    policy_id TEXT NOT NULL REFERENCES policies (id),
    outcome   TEXT NOT NULL,
    input     TEXT,
    body      TEXT NOT NULL,
    taken_at  BIGINT NOT NULL
);

CREATE INDEX policy_samples_by_policy ON policy_samples (policy_id, id);
