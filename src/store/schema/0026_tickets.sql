-- Tickets in other systems: one row per incident and connector, and what was said about each. What a ticket is to be and
-- was brought to stands in `link` as JSON; the columns are what is looked up.

CREATE TABLE ticket (
    incident BIGINT NOT NULL,
    connector TEXT NOT NULL,
    partition BIGINT NOT NULL,
    ticket_key TEXT NOT NULL,
    remote_id TEXT,
    number TEXT,
    url TEXT,
    standing TEXT NOT NULL,
    error TEXT,
    changed_at BIGINT NOT NULL,
    link TEXT NOT NULL,
    is_forgotten BOOLEAN NOT NULL,
    PRIMARY KEY (incident, connector),
    CHECK (standing IN ('pending', 'in_sync', 'behind', 'failed', 'detached', 'closed'))
);
CREATE INDEX ticket_by_connector ON ticket (connector, incident);

CREATE TABLE ticket_exchange (
    incident BIGINT NOT NULL,
    connector TEXT NOT NULL,
    seq BIGINT NOT NULL,
    place BIGINT NOT NULL,
    partition BIGINT NOT NULL,
    at BIGINT NOT NULL,
    step TEXT NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    status BIGINT NOT NULL,
    took_ms BIGINT NOT NULL,
    error TEXT,
    PRIMARY KEY (incident, connector, seq, place),
    CHECK (status >= 0)
);

CREATE TABLE connector_pause (
    connector TEXT NOT NULL,
    partition BIGINT NOT NULL,
    PRIMARY KEY (partition, connector)
);
