-- What upkeep looks for is little among much.

CREATE INDEX log_sections_inline ON log_sections (run_id, attempt) WHERE inline_bytes > 0;
