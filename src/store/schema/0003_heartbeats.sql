-- What has to be heard of again and again, as far as it was heard of. Times are UTC milliseconds.
CREATE TABLE heartbeat (
    partition BIGINT NOT NULL,
    name TEXT NOT NULL,
    heard_at BIGINT NOT NULL,
    is_seen BOOLEAN NOT NULL,
    is_missing BOOLEAN NOT NULL,
    due_at BIGINT NOT NULL,
    PRIMARY KEY (partition, name)
);

-- Inputs that came from the list of dead letters: which letter, and when it was received first.
CREATE TABLE replayed (
    partition BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    letter BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    PRIMARY KEY (partition, seq)
);
