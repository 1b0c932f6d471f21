-- The CMDB in versions. Rows of a version that is not active yet are written beforehand and seen by nobody: a row is
-- valid from its first version up to the one that ends it, and the last active version is what readers see.

CREATE TABLE cmdb_import (
    version BIGINT PRIMARY KEY,
    partition BIGINT NOT NULL,
    name TEXT NOT NULL,
    format TEXT NOT NULL,
    actor TEXT NOT NULL,
    at BIGINT NOT NULL,
    active_at BIGINT,
    rebound_at BIGINT,
    seen_at BIGINT,
    is_current BOOLEAN NOT NULL,
    hash BIGINT NOT NULL,
    summary TEXT NOT NULL
);

-- What an import said, packed: only merging reads it again.
CREATE TABLE cmdb_part (
    version BIGINT NOT NULL,
    part BIGINT NOT NULL,
    is_packed BOOLEAN NOT NULL,
    body BYTEA NOT NULL,
    PRIMARY KEY (version, part)
);

-- The number of every id there ever was.
CREATE TABLE ci_number (
    id TEXT PRIMARY KEY,
    number BIGINT NOT NULL
);

CREATE TABLE ci_version (
    number BIGINT NOT NULL,
    from_version BIGINT NOT NULL,
    to_version BIGINT,
    partition BIGINT NOT NULL,
    hash BIGINT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    class TEXT NOT NULL,
    site TEXT,
    rack TEXT,
    environment TEXT,
    criticality BIGINT,
    owner TEXT,
    is_retired BOOLEAN NOT NULL,
    identifiers TEXT NOT NULL,
    attributes TEXT NOT NULL,
    imports TEXT NOT NULL,
    PRIMARY KEY (number, from_version)
);
CREATE INDEX ci_version_by_id ON ci_version (id);

CREATE TABLE relation_version (
    from_ci BIGINT NOT NULL,
    to_ci BIGINT NOT NULL,
    from_version BIGINT NOT NULL,
    to_version BIGINT,
    hash BIGINT NOT NULL,
    kind TEXT NOT NULL,
    role TEXT,
    redundancy TEXT,
    confidence BIGINT NOT NULL
);
CREATE INDEX relation_version_by_from ON relation_version (from_ci);
CREATE INDEX relation_version_by_to ON relation_version (to_ci);

-- Which CI an alert is about, apart from the narrow rows that change with every message.
CREATE TABLE alert_binding (
    alert BIGINT PRIMARY KEY,
    partition BIGINT NOT NULL,
    ci BIGINT,
    outcome TEXT NOT NULL,
    reason TEXT NOT NULL,
    candidates TEXT NOT NULL,
    CHECK (outcome IN ('bound', 'unbound', 'ambiguous'))
);
CREATE INDEX alert_binding_by_ci ON alert_binding (ci) WHERE ci IS NOT NULL;
