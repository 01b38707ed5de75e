-- Spaces that people make, and keys that are limited to spaces.

ALTER TABLE spaces ADD COLUMN labels TEXT NOT NULL DEFAULT '[]';
-- Whether what belongs to the parent can be used here.
ALTER TABLE spaces ADD COLUMN inherits BOOLEAN NOT NULL DEFAULT TRUE;
ALTER TABLE spaces ADD COLUMN created_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE spaces ADD COLUMN deleted_at BIGINT;

CREATE INDEX spaces_by_parent ON spaces (parent_id, id);

-- `ALL`, or `SPACES`: those of api_key_spaces and what is below them.
ALTER TABLE api_keys ADD COLUMN reach TEXT NOT NULL DEFAULT 'ALL';
ALTER TABLE api_keys ADD COLUMN description TEXT;
ALTER TABLE api_keys ADD COLUMN created_by TEXT NOT NULL DEFAULT 'server';
ALTER TABLE api_keys ADD COLUMN expires_at BIGINT;
ALTER TABLE api_keys ADD COLUMN last_used_at BIGINT;

CREATE TABLE api_key_spaces (
    key_id   TEXT NOT NULL REFERENCES api_keys (id),
    space_id TEXT NOT NULL REFERENCES spaces (id),
    PRIMARY KEY (key_id, space_id)
);

CREATE INDEX api_key_spaces_by_space ON api_key_spaces (space_id);

-- What a space holds, asked before it is deleted.
CREATE INDEX stacks_by_space ON stacks (space_id, id);
CREATE INDEX pools_by_space ON pools (space_id, id);
CREATE INDEX policies_by_space ON policies (space_id, id);
