-- Ladders that are being climbed, each with a copy of the ladder as it was when it began. Times are UTC milliseconds.
CREATE TABLE escalation (
    partition BIGINT NOT NULL,
    incident BIGINT NOT NULL,
    ladder TEXT NOT NULL,
    steps TEXT NOT NULL,
    began_at BIGINT NOT NULL,
    round BIGINT NOT NULL,
    step BIGINT NOT NULL,
    phase TEXT NOT NULL CHECK (phase IN ('climbing', 'paused', 'stopped', 'exhausted')),
    due_at BIGINT,
    left_ms BIGINT,
    priority TEXT NOT NULL,
    is_loud BOOLEAN NOT NULL,
    PRIMARY KEY (incident, ladder),
    CHECK (round >= 0 AND step >= 0),
    CHECK ((phase = 'climbing') = (due_at IS NOT NULL)),
    CHECK ((phase = 'paused') = (left_ms IS NOT NULL))
);
