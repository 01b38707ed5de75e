-- What users attached to a run is never changed, moved or dropped: the new text has to begin with the old one
-- (both are JSON lists of texts without white space between them; only the closing bracket may move).

CREATE TRIGGER runs_metadata_grows BEFORE UPDATE OF metadata ON runs
WHEN substr(NEW.metadata, 1, length(OLD.metadata) - 1) <> substr(OLD.metadata, 1, length(OLD.metadata) - 1)
BEGIN
    SELECT RAISE(ABORT, 'the metadata of a run only grows');
END;
