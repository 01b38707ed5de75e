-- A pool has one current key, and while a reset overlaps also former ones. Keys from before this table have the pool's id.

CREATE TABLE pool_keys (
    id          TEXT NOT NULL PRIMARY KEY,
    pool_id     TEXT NOT NULL REFERENCES pools (id),
    csr         TEXT NOT NULL,
    certificate TEXT NOT NULL,
    public_key  TEXT NOT NULL,
    created_by  TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    retires_at  BIGINT
);

CREATE INDEX pool_keys_by_pool ON pool_keys (pool_id, id);

-- The database itself refuses a second current key.
CREATE UNIQUE INDEX pool_keys_current ON pool_keys (pool_id) WHERE retires_at IS NULL;

INSERT INTO pool_keys (id, pool_id, csr, certificate, public_key, created_by, created_at, retires_at)
SELECT id, id, csr, certificate, public_key, created_by, created_at, NULL FROM pools;

ALTER TABLE pools DROP COLUMN csr;
ALTER TABLE pools DROP COLUMN certificate;
ALTER TABLE pools DROP COLUMN public_key;

-- Who may become a launcher of the pool, as JSON.
ALTER TABLE pools ADD COLUMN enrolment TEXT NOT NULL DEFAULT '{}';

-- The key that a launcher proved last, and the key that a workspace is sealed to.
ALTER TABLE launchers ADD COLUMN key_id TEXT REFERENCES pool_keys (id);
UPDATE launchers SET key_id = pool_id;
ALTER TABLE workspaces ADD COLUMN key_id TEXT REFERENCES pool_keys (id);
UPDATE workspaces SET key_id = (SELECT pool_id FROM runs WHERE runs.id = workspaces.run_id);

-- When a launcher became idle is the end of its last lease.
CREATE INDEX leases_by_end ON leases (launcher_id, standing, standing_at);
DROP INDEX leases_by_launcher;
