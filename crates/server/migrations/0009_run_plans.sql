-- Plans as data: what launchers sent of each attempt's plan, sealed, and what plan policies said about it.

CREATE TABLE run_plans (
    run_id    TEXT NOT NULL REFERENCES runs (id),
    attempt   BIGINT NOT NULL,
    -- SHA-256 of what was sent.
    digest    TEXT NOT NULL,
    -- The sealed document, or why there is none: exactly one of the two.
    blob      TEXT,
    withheld  TEXT,
    size      BIGINT NOT NULL,
    verdict   TEXT,
    stored_at BIGINT NOT NULL,
    PRIMARY KEY (run_id, attempt)
);
