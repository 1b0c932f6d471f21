-- What correlation needs to go on exactly after a restart, and to be explained afterwards. Bodies are JSON. A node
-- that is no longer followed stays as a record until its incident is deleted.

ALTER TABLE incident ADD COLUMN merged_into BIGINT;

CREATE TABLE node (
    id BIGINT PRIMARY KEY,
    partition BIGINT NOT NULL,
    incident BIGINT NOT NULL,
    ci BIGINT,
    parent BIGINT,
    score BIGINT,
    why TEXT,
    body TEXT NOT NULL,
    is_forgotten BOOLEAN NOT NULL
);
CREATE INDEX node_by_incident ON node (incident, id);

-- Which node an alert belongs or last belonged to.
CREATE TABLE node_alert (
    alert BIGINT PRIMARY KEY,
    node BIGINT NOT NULL
);

CREATE TABLE incident_cause (
    incident BIGINT PRIMARY KEY,
    partition BIGINT NOT NULL,
    body TEXT NOT NULL
);

CREATE TABLE ci_change (
    ci BIGINT NOT NULL,
    id TEXT NOT NULL,
    partition BIGINT NOT NULL,
    at BIGINT NOT NULL,
    summary TEXT NOT NULL,
    PRIMARY KEY (ci, id)
);

-- The services that an incident reaches, to find incidents by them.
CREATE TABLE incident_service (
    incident BIGINT NOT NULL,
    ci BIGINT NOT NULL,
    PRIMARY KEY (incident, ci)
);
CREATE INDEX incident_service_by_ci ON incident_service (ci, incident);
