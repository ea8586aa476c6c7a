-- Version 11. `erased_ms`: when an operator erased what the event contains. `caused_by`: the event whose handler emitted this one; NULL:
-- none, or an older version stored it.
ALTER TABLE events ADD COLUMN erased_ms bigint, ADD COLUMN caused_by uuid;
CREATE INDEX events_caused_by ON events (caused_by) WHERE caused_by IS NOT NULL;

-- The event whose handler set this value. NULL: several events added to it, or an older version stored it.
ALTER TABLE kv ADD COLUMN event_id uuid;
CREATE INDEX kv_event ON kv (event_id) WHERE event_id IS NOT NULL;
CREATE INDEX rows_event ON rows (event_id);

-- Each hook has its own retention.
DROP INDEX IF EXISTS deliveries_prunable;
CREATE INDEX deliveries_prunable ON deliveries (hook, ended) WHERE state = 2 AND NOT pruned;
CREATE INDEX deliveries_ended_of ON deliveries (hook, ended) WHERE state >= 2;
