-- The audit trail says from where and with what outcome, and is only ever appended to.

ALTER TABLE audit ADD COLUMN key_id TEXT;
ALTER TABLE audit ADD COLUMN address TEXT;
ALTER TABLE audit ADD COLUMN outcome TEXT NOT NULL DEFAULT 'DONE';
-- The space of the thing at the time, and what it is part of, such as a run's stack.
ALTER TABLE audit ADD COLUMN space_id TEXT;
ALTER TABLE audit ADD COLUMN related TEXT;

-- The text of triggers is SQLite's; PostgreSQL takes a rule for the same.
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit trail is only appended to');
END;

CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit trail is only appended to');
END;
