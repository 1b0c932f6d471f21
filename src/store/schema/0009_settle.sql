-- When an incident is, or was, announced. Those from before were open to everybody from their first moment.
ALTER TABLE incident ADD COLUMN settles_since BIGINT;
ALTER TABLE incident ADD COLUMN announce_at BIGINT;
ALTER TABLE incident ADD COLUMN announced_at BIGINT;
ALTER TABLE incident ADD COLUMN joined_at BIGINT;
UPDATE incident SET announced_at = opened_at;
