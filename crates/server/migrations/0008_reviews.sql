-- What reviewers said, and whether an approval policy keeps a run in QUEUED.

CREATE TABLE run_reviews (
    id            TEXT NOT NULL PRIMARY KEY,
    run_id        TEXT NOT NULL REFERENCES runs (id),
    state         TEXT NOT NULL,
    state_version BIGINT NOT NULL,
    decision      TEXT NOT NULL,
    note          TEXT NOT NULL,
    author_id     TEXT NOT NULL,
    author        TEXT NOT NULL,
    role          TEXT NOT NULL,
    given_at      BIGINT NOT NULL
);

CREATE INDEX run_reviews_by_run ON run_reviews (run_id, id);

ALTER TABLE runs ADD COLUMN gate TEXT NOT NULL DEFAULT 'OPEN';

CREATE INDEX runs_behind_gate ON runs (id) WHERE gate = 'CLOSED';
