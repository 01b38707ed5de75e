-- Whether a run's logs are still there; those of ended runs go by age, where the operator sets one.

ALTER TABLE runs ADD COLUMN logs TEXT NOT NULL DEFAULT 'KEPT';

CREATE INDEX runs_with_logs ON runs (entered_at) WHERE logs = 'KEPT';
