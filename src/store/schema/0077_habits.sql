-- What has fired together before, see core/correlate/habit.rs; `causes` is a JSON list of signs and counts.
CREATE TABLE habit (
    partition BIGINT NOT NULL,
    sign BIGINT NOT NULL,
    seen BIGINT NOT NULL,
    at BIGINT NOT NULL,
    causes TEXT NOT NULL,
    PRIMARY KEY (partition, sign)
);
CREATE INDEX habit_by_age ON habit (partition, at);
