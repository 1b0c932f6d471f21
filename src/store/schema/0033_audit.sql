-- The audit: one row for every order, each with a hash over itself and the hash before it, so that a row that is changed,
-- taken out or put in breaks the chain. The head says how far it goes.

CREATE TABLE audit (
    partition BIGINT NOT NULL,
    id BIGINT NOT NULL,
    at BIGINT NOT NULL,
    seq BIGINT,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    before_values TEXT NOT NULL,
    after_values TEXT NOT NULL,
    why TEXT,
    hash TEXT NOT NULL,
    PRIMARY KEY (partition, id),
    CHECK (id > 0)
);
CREATE INDEX audit_by_subject ON audit (subject, id);
CREATE INDEX audit_by_actor ON audit (actor, id);

CREATE TABLE audit_head (
    partition BIGINT PRIMARY KEY,
    last_id BIGINT NOT NULL,
    hash TEXT NOT NULL,
    CHECK (last_id >= 0)
);
