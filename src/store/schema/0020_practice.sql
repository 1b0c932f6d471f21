-- Where the priority of an incident comes from, where that is not its severity alone; and its service level clocks.
-- Times are UTC milliseconds, lengths of time milliseconds.

CREATE TABLE incident_standing (
    incident BIGINT PRIMARY KEY,
    partition BIGINT NOT NULL,
    impact BIGINT NOT NULL,
    urgency BIGINT NOT NULL,
    given TEXT,
    given_by TEXT,
    given_reason TEXT,
    given_at BIGINT,
    lower_at BIGINT,
    CHECK (impact BETWEEN 1 AND 3 AND urgency BETWEEN 1 AND 3),
    CHECK (given IN ('P1', 'P2', 'P3', 'P4', 'P5'))
);

CREATE TABLE sla_clock (
    incident BIGINT NOT NULL,
    clock TEXT NOT NULL,
    partition BIGINT NOT NULL,
    rule TEXT,
    target BIGINT,
    calendar TEXT,
    started_at BIGINT NOT NULL,
    counted BIGINT NOT NULL,
    since BIGINT,
    due_at BIGINT,
    warn_at BIGINT,
    warned BIGINT NOT NULL,
    stopped_at BIGINT,
    is_final BOOLEAN NOT NULL,
    breached_at BIGINT,
    owner_team TEXT,
    owner_assignee TEXT,
    PRIMARY KEY (incident, clock),
    CHECK (clock IN ('response', 'resolution')),
    CHECK (counted >= 0)
);
