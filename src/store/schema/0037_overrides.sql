-- Who stands in for whom on a schedule. One that is over is kept, so that it is known who was on call.
CREATE TABLE schedule_override (
    id BIGINT PRIMARY KEY,
    partition BIGINT NOT NULL,
    schedule TEXT NOT NULL,
    person TEXT,
    replaces TEXT,
    starts_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    comment TEXT NOT NULL,
    made_at BIGINT NOT NULL,
    is_over BOOLEAN NOT NULL,
    CHECK (ends_at >= starts_at)
);
CREATE INDEX schedule_override_held ON schedule_override (id) WHERE NOT is_over;
CREATE INDEX schedule_override_by_end ON schedule_override (ends_at);
