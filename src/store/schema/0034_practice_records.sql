-- Which incidents count under which signature, for problems; and which CI a person says an alert is about.

CREATE TABLE record_occurrence (
    incident BIGINT PRIMARY KEY,
    partition BIGINT NOT NULL,
    signature TEXT NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX record_occurrence_by_signature ON record_occurrence (signature, at);
CREATE INDEX record_occurrence_by_time ON record_occurrence (at);

CREATE TABLE alert_forced (
    alert BIGINT PRIMARY KEY,
    partition BIGINT NOT NULL,
    ci TEXT NOT NULL
);
