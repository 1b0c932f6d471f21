-- What jobs say about themselves: since when one runs, how long the last run took, and what was said when it failed.
ALTER TABLE heartbeat ADD COLUMN begun_at BIGINT;
ALTER TABLE heartbeat ADD COLUMN last_run_ms BIGINT;
ALTER TABLE heartbeat ADD COLUMN failure TEXT;
