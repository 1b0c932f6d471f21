-- Alerts that came back not long ago, with their last changes.
CREATE TABLE alert_flap (
    alert BIGINT PRIMARY KEY,
    partition BIGINT NOT NULL,
    changes TEXT NOT NULL,
    is_flapping BOOLEAN NOT NULL,
    until BIGINT NOT NULL
);
