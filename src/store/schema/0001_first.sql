-- Rows are numbered in order of arrival, so that rows written together lie together; narrow state that changes
-- with every message is apart from texts. Times are UTC milliseconds, JSON is text. Valid on both engines.

CREATE TABLE engine (
    partition BIGINT PRIMARY KEY,
    holder TEXT NOT NULL,
    fence BIGINT NOT NULL,
    lease_until BIGINT NOT NULL,
    decided_seq BIGINT NOT NULL,
    CHECK (fence >= 0 AND decided_seq >= 0)
);

CREATE TABLE input (
    partition BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    source TEXT,
    content_type TEXT,
    is_packed BOOLEAN NOT NULL,
    body BYTEA NOT NULL,
    PRIMARY KEY (partition, seq),
    CHECK (kind IN ('message', 'poll', 'command', 'deadline', 'started'))
);

CREATE TABLE source (
    partition BIGINT NOT NULL,
    id BIGINT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (partition, id)
);

CREATE TABLE alert_key (
    id BIGINT PRIMARY KEY,
    partition BIGINT NOT NULL,
    source BIGINT NOT NULL,
    first_seen_at BIGINT NOT NULL,
    key TEXT NOT NULL
);

CREATE TABLE alert_state (
    id BIGINT PRIMARY KEY,
    partition BIGINT NOT NULL,
    status TEXT NOT NULL,
    ended_by TEXT,
    severity TEXT NOT NULL,
    is_muted_upstream BOOLEAN NOT NULL,
    undelivered BIGINT NOT NULL,
    episode BIGINT NOT NULL,
    starts_at BIGINT NOT NULL,
    is_start_ours BOOLEAN NOT NULL,
    ends_at BIGINT,
    last_seen_at BIGINT NOT NULL,
    lease_at BIGINT NOT NULL,
    count BIGINT NOT NULL,
    count_before BIGINT NOT NULL,
    text_hash BIGINT NOT NULL,
    incident BIGINT,
    late TEXT NOT NULL,
    late_until BIGINT,
    is_forgotten BOOLEAN NOT NULL,
    CHECK (status IN ('firing', 'resolved')),
    CHECK (ended_by IN ('resolved', 'expired', 'reconciled', 'person')),
    CHECK (severity IN ('critical', 'high', 'warning', 'low', 'info')),
    CHECK (late IN ('none', 'parked', 'discarded')),
    CHECK (count >= count_before AND count_before >= 0 AND undelivered >= 0 AND episode >= 0)
);

-- Forgotten alerts without an incident, in the order in which they are deleted.
CREATE INDEX alert_state_lone ON alert_state (last_seen_at) WHERE incident IS NULL AND is_forgotten;

CREATE TABLE alert_text (
    id BIGINT PRIMARY KEY,
    partition BIGINT NOT NULL,
    summary TEXT NOT NULL,
    labels TEXT NOT NULL,
    annotations TEXT NOT NULL,
    generator_url TEXT NOT NULL,
    is_cut BOOLEAN NOT NULL
);

CREATE TABLE incident (
    id BIGINT PRIMARY KEY,
    partition BIGINT NOT NULL,
    state TEXT NOT NULL,
    state_until BIGINT,
    hold_reason TEXT,
    severity TEXT NOT NULL,
    priority TEXT NOT NULL,
    firing BIGINT NOT NULL,
    total BIGINT NOT NULL,
    opened_at BIGINT NOT NULL,
    acknowledged_at BIGINT,
    resolved_at BIGINT,
    closed_at BIGINT,
    recovers_at BIGINT,
    reopen_count BIGINT NOT NULL,
    previous BIGINT,
    assignee TEXT,
    team TEXT,
    version BIGINT NOT NULL,
    title TEXT,
    is_forgotten BOOLEAN NOT NULL,
    CHECK (state IN ('new', 'acknowledged', 'in_progress', 'on_hold', 'resolved', 'closed')),
    CHECK (severity IN ('critical', 'high', 'warning', 'low', 'info')),
    CHECK (priority IN ('P1', 'P2', 'P3', 'P4', 'P5')),
    CHECK (firing >= 0 AND total >= firing)
);
CREATE INDEX incident_by_state ON incident (state, id);
-- Incidents closed for good, in the order in which they are deleted.
CREATE INDEX incident_forgotten ON incident (closed_at) WHERE is_forgotten;

CREATE TABLE incident_alert (
    incident BIGINT NOT NULL,
    alert BIGINT NOT NULL,
    partition BIGINT NOT NULL,
    joined_at BIGINT NOT NULL,
    events BIGINT,
    PRIMARY KEY (incident, alert)
);

CREATE INDEX incident_alert_by_alert ON incident_alert (alert, incident);

CREATE TABLE timeline (
    id BIGINT PRIMARY KEY,
    partition BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    at BIGINT NOT NULL,
    incident BIGINT,
    alert BIGINT,
    reason TEXT NOT NULL,
    state TEXT,
    actor TEXT,
    note TEXT
);
CREATE INDEX timeline_by_incident ON timeline (incident, id) WHERE incident IS NOT NULL;
-- An alert's own entries are found through its incidents; only those before any incident need an index of their own.
CREATE INDEX timeline_by_alert ON timeline (alert, id) WHERE incident IS NULL;

CREATE TABLE command_answer (
    key BIGINT PRIMARY KEY,
    partition BIGINT NOT NULL,
    at BIGINT NOT NULL,
    command BIGINT NOT NULL,
    incident BIGINT NOT NULL,
    reason TEXT NOT NULL,
    is_refused BOOLEAN NOT NULL
);

CREATE TABLE dead_letter (
    id BIGINT PRIMARY KEY,
    partition BIGINT NOT NULL,
    at BIGINT NOT NULL,
    source TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    content_type TEXT,
    body_bytes BIGINT NOT NULL,
    body BYTEA NOT NULL
);

CREATE TABLE token (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    hash TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT,
    CHECK (role IN ('viewer', 'responder', 'admin'))
);
CREATE UNIQUE INDEX token_by_hash ON token (hash);
