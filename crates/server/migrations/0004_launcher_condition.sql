-- Why a launcher takes no runs by its own decision: the condition of its last poll, as JSON.

ALTER TABLE launchers ADD COLUMN condition TEXT;
