-- How many looks for drift a pool's launchers do at once; nothing is any number.
ALTER TABLE pools ADD COLUMN drift_limit BIGINT;
