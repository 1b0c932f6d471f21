-- What people are to be told: one row per message and target, written with the decision that it tells of. A row that is
-- under way was committed as such before anything was sent; what is found so after a crash may have arrived.

CREATE TABLE outbox (
    id BIGINT PRIMARY KEY,
    partition BIGINT NOT NULL,
    incident BIGINT,
    target TEXT NOT NULL,
    recipient TEXT NOT NULL,
    event TEXT NOT NULL,
    note TEXT,
    urgency BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'sending', 'sent', 'skipped', 'dead')),
    is_due BOOLEAN NOT NULL,
    may_have_arrived BOOLEAN NOT NULL,
    attempts BIGINT NOT NULL CHECK (attempts >= 0),
    due_at BIGINT NOT NULL,
    tried_at BIGINT,
    ended_at BIGINT,
    status BIGINT,
    reason TEXT,
    error TEXT,
    CHECK (urgency BETWEEN 1 AND 5)
);
CREATE INDEX outbox_due ON outbox (target, id) WHERE is_due;
CREATE INDEX outbox_by_incident ON outbox (incident, target, id);
CREATE INDEX outbox_ended ON outbox (ended_at) WHERE NOT is_due;
CREATE INDEX outbox_dead ON outbox (id) WHERE state = 'dead';

-- Who was told of an incident that is still held.
CREATE TABLE told (
    incident BIGINT PRIMARY KEY,
    partition BIGINT NOT NULL,
    is_open BOOLEAN NOT NULL,
    priority TEXT NOT NULL,
    audience TEXT NOT NULL,
    escalations TEXT NOT NULL
);

-- Targets that a person has paused.
CREATE TABLE target_pause (
    target TEXT PRIMARY KEY,
    partition BIGINT NOT NULL,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL
);
