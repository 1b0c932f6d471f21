-- Incidents that people are not told of because they know of another one that explains them.
CREATE TABLE inhibition (
    incident BIGINT PRIMARY KEY,
    partition BIGINT NOT NULL,
    held_by BIGINT NOT NULL,
    rule TEXT NOT NULL,
    since BIGINT NOT NULL
);
