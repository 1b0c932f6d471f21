-- What became of incidents, in figures: one row for each that is over, and sums per priority and team, of
-- single days (UTC) and of 32 days, so that a report over years reads some thousand rows. Times are UTC milliseconds, a day
-- is counted from 1970-01-01, `part` is the day or the number of 32 days.

CREATE TABLE incident_outcome (
    incident BIGINT PRIMARY KEY,
    partition BIGINT NOT NULL,
    ended_at BIGINT NOT NULL,
    day BIGINT NOT NULL,
    priority TEXT NOT NULL,
    team TEXT NOT NULL,
    incidents BIGINT NOT NULL,
    acknowledged BIGINT NOT NULL,
    acknowledge_ms BIGINT NOT NULL,
    resolve_ms BIGINT NOT NULL,
    reopened BIGINT NOT NULL,
    recurring BIGINT NOT NULL,
    escalated BIGINT NOT NULL,
    by_itself BIGINT NOT NULL,
    response_met BIGINT NOT NULL,
    response_breached BIGINT NOT NULL,
    resolution_met BIGINT NOT NULL,
    resolution_breached BIGINT NOT NULL,
    alerts BIGINT NOT NULL,
    messages BIGINT NOT NULL,
    CHECK (priority IN ('P1', 'P2', 'P3', 'P4', 'P5'))
);
CREATE INDEX incident_outcome_by_end ON incident_outcome (ended_at);

CREATE TABLE outcome_sum (
    partition BIGINT NOT NULL,
    days BIGINT NOT NULL,
    part BIGINT NOT NULL,
    priority TEXT NOT NULL,
    team TEXT NOT NULL,
    incidents BIGINT NOT NULL,
    acknowledged BIGINT NOT NULL,
    acknowledge_ms BIGINT NOT NULL,
    resolve_ms BIGINT NOT NULL,
    reopened BIGINT NOT NULL,
    recurring BIGINT NOT NULL,
    escalated BIGINT NOT NULL,
    by_itself BIGINT NOT NULL,
    response_met BIGINT NOT NULL,
    response_breached BIGINT NOT NULL,
    resolution_met BIGINT NOT NULL,
    resolution_breached BIGINT NOT NULL,
    alerts BIGINT NOT NULL,
    messages BIGINT NOT NULL,
    PRIMARY KEY (days, part, priority, team, partition),
    CHECK (days IN (1, 32))
);
