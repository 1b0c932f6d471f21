-- Which incidents were escalated, so that it is known when they are over, whatever became of their ladders; what people
-- say of how incidents were handled, once per incident and person; and changes by state in the order of their last change, for reports.

CREATE TABLE incident_escalated (
    incident BIGINT PRIMARY KEY,
    partition BIGINT NOT NULL,
    at BIGINT NOT NULL
);

CREATE TABLE rating (
    incident BIGINT NOT NULL,
    who TEXT NOT NULL,
    partition BIGINT NOT NULL,
    at BIGINT NOT NULL,
    priority TEXT NOT NULL,
    team TEXT NOT NULL,
    score BIGINT NOT NULL,
    comment TEXT NOT NULL,
    PRIMARY KEY (incident, who),
    CHECK (priority IN ('P1', 'P2', 'P3', 'P4', 'P5')),
    CHECK (score BETWEEN 1 AND 5)
);
CREATE INDEX rating_by_time ON rating (at);

-- Their sums per priority and team, of single days (UTC) and of 32 days, as with incidents that are over.
CREATE TABLE rating_sum (
    partition BIGINT NOT NULL,
    days BIGINT NOT NULL,
    part BIGINT NOT NULL,
    priority TEXT NOT NULL,
    team TEXT NOT NULL,
    ratings BIGINT NOT NULL,
    score BIGINT NOT NULL,
    content BIGINT NOT NULL,
    PRIMARY KEY (days, part, priority, team, partition),
    CHECK (days IN (1, 32))
);

CREATE INDEX record_by_state ON record (kind, state, updated_at);
CREATE INDEX record_incident_confirmed ON record_incident (kind, number) WHERE role = 'confirmed';
