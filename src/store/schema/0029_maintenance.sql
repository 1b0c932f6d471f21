-- Maintenance windows. Each occurrence is a row of silence; a window that is over is only kept to be shown.
CREATE TABLE maintenance (
    id BIGINT PRIMARY KEY,
    partition BIGINT NOT NULL,
    name TEXT NOT NULL,
    wanted TEXT NOT NULL,
    origin TEXT NOT NULL,
    origin_id TEXT,
    updated_at BIGINT NOT NULL,
    planned BIGINT,
    plan_at BIGINT,
    cancelled_at BIGINT,
    is_over BOOLEAN NOT NULL,
    CHECK (origin IN ('api', 'config', 'change'))
);
CREATE INDEX maintenance_held ON maintenance (id) WHERE NOT is_over;
CREATE INDEX maintenance_over ON maintenance (updated_at) WHERE is_over;

-- Which CIs a silence is about besides its matchers, and the window of which it is an occurrence.
ALTER TABLE silence ADD COLUMN scope TEXT;
ALTER TABLE silence ADD COLUMN maintenance BIGINT;
CREATE INDEX silence_of_maintenance ON silence (maintenance, id) WHERE maintenance IS NOT NULL;
