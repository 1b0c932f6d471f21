-- Records beside incidents (changes, requests, problems, known errors, actions), each whole in its body, with columns for
-- what is searched; and what they have to do with incidents.

CREATE TABLE record (
    kind TEXT NOT NULL,
    number BIGINT NOT NULL,
    partition BIGINT NOT NULL,
    state TEXT NOT NULL,
    record_key TEXT,
    title TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    is_held BOOLEAN NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (kind, number),
    CHECK (number > 0)
);
CREATE INDEX record_held ON record (kind, number) WHERE is_held;
CREATE INDEX record_by_key ON record (kind, record_key);

CREATE TABLE record_ci (
    kind TEXT NOT NULL,
    number BIGINT NOT NULL,
    ci TEXT NOT NULL,
    PRIMARY KEY (kind, ci, number)
);
CREATE INDEX record_ci_by_record ON record_ci (kind, number);

CREATE TABLE record_incident (
    incident BIGINT NOT NULL,
    kind TEXT NOT NULL,
    number BIGINT NOT NULL,
    partition BIGINT NOT NULL,
    role TEXT NOT NULL,
    score BIGINT NOT NULL,
    why TEXT NOT NULL,
    actor TEXT,
    at BIGINT NOT NULL,
    PRIMARY KEY (incident, kind, number),
    CHECK (score >= 0)
);
CREATE INDEX record_incident_by_record ON record_incident (kind, number, incident);
