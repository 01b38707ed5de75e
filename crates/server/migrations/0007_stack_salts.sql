-- One random salt a stack, sealed with the master key: values enter signed documents under it.

CREATE TABLE stack_salts (
    stack_id   TEXT NOT NULL PRIMARY KEY REFERENCES stacks (id),
    sealed     TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
