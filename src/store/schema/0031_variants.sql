-- The last alert of each trouble that comes under ever new names.
CREATE TABLE alert_variant (
    signature BIGINT NOT NULL,
    partition BIGINT NOT NULL,
    alert BIGINT NOT NULL,
    workload BIGINT NOT NULL,
    count BIGINT NOT NULL,
    is_mixed BOOLEAN NOT NULL,
    PRIMARY KEY (signature, partition)
);
CREATE INDEX alert_variant_by_alert ON alert_variant (alert);
