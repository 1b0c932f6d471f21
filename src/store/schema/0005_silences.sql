-- Silences, which firing alerts they keep people from being told of, and the alerts that have yet to be compared with
-- them because no message brought their labels. A silence that is over is only kept to be shown.

CREATE TABLE silence (
    id BIGINT PRIMARY KEY,
    partition BIGINT NOT NULL,
    uuid TEXT NOT NULL,
    matchers TEXT NOT NULL,
    starts_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    comment TEXT NOT NULL,
    updated_at BIGINT NOT NULL,
    once_key BIGINT,
    is_started BOOLEAN NOT NULL,
    is_swept BOOLEAN NOT NULL,
    is_over BOOLEAN NOT NULL,
    CHECK (ends_at >= starts_at)
);
CREATE UNIQUE INDEX silence_by_uuid ON silence (uuid);
CREATE INDEX silence_held ON silence (id) WHERE NOT is_over;
-- Silences that are over, in the order in which they are deleted.
CREATE INDEX silence_over ON silence (ends_at) WHERE is_over;

CREATE TABLE silence_alert (
    alert BIGINT NOT NULL,
    silence BIGINT NOT NULL,
    partition BIGINT NOT NULL,
    PRIMARY KEY (alert, silence)
);

CREATE INDEX silence_alert_by_silence ON silence_alert (silence, alert);

CREATE TABLE silence_unchecked (
    alert BIGINT PRIMARY KEY,
    partition BIGINT NOT NULL
);
