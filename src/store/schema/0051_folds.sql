-- Troubles that come as ever new alerts because of a label that names the event.
CREATE TABLE alert_fold (
    signature BIGINT NOT NULL,
    partition BIGINT NOT NULL,
    count BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    firing TEXT NOT NULL,
    is_cut BOOLEAN NOT NULL,
    PRIMARY KEY (signature, partition)
);
