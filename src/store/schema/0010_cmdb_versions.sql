-- How many of a redundancy group must be left, and ways to the rows that only earlier versions still see.

ALTER TABLE relation_version ADD COLUMN redundancy_min BIGINT;

CREATE INDEX ci_version_by_start ON ci_version (from_version);
CREATE INDEX ci_version_by_end ON ci_version (to_version) WHERE to_version IS NOT NULL;
CREATE INDEX relation_version_by_end ON relation_version (to_version) WHERE to_version IS NOT NULL;
