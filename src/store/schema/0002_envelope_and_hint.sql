-- What came around a body, as small JSON, for sources whose decoder reads it; and what a source says about which
-- configuration item an alert is about. Valid on both engines.

ALTER TABLE input ADD COLUMN envelope TEXT;
ALTER TABLE dead_letter ADD COLUMN envelope TEXT;
ALTER TABLE alert_text ADD COLUMN ci_hint TEXT;
