-- How far the rules in force have reached open incidents, so that a restart with the same rules looks at none again; and
-- up to when the change records of a platform were read.
CREATE TABLE rules_review (
    partition BIGINT PRIMARY KEY,
    digest BIGINT NOT NULL,
    next_incident BIGINT
);

CREATE TABLE change_cursor (
    connector TEXT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL
);
