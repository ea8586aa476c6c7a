
-- When an operator erased what the event contains (time of day). The fact of the event stays.
ALTER TABLE events ADD COLUMN erased_ms INTEGER;

-- The event whose handler emitted this one. NULL: none, or an older version stored it.
ALTER TABLE events ADD COLUMN caused_by BLOB;
CREATE INDEX events_caused_by ON events (caused_by) WHERE caused_by IS NOT NULL;

-- The event whose handler set this value. NULL: several events added to it, or an older version stored it.
ALTER TABLE kv ADD COLUMN event_id BLOB;
CREATE INDEX kv_event ON kv (event_id) WHERE event_id IS NOT NULL;
CREATE INDEX rows_event ON rows (event_id);

-- Each hook has its own retention.
DROP INDEX deliveries_prunable;
CREATE INDEX deliveries_prunable ON deliveries (hook, ended) WHERE state = 2 AND pruned = 0;

-- What is stored can be replaced: erased, or encrypted with another key.
CREATE TRIGGER attempts_changed AFTER UPDATE OF record ON attempts BEGIN
    UPDATE used SET history_bytes = history_bytes + octet_length(NEW.record) - octet_length(OLD.record)
    WHERE hook = (SELECT hook FROM deliveries WHERE id = NEW.delivery);
END;
CREATE TRIGGER payloads_changed AFTER UPDATE OF body ON payloads BEGIN
    UPDATE used SET history_bytes = history_bytes + octet_length(NEW.body) - octet_length(OLD.body)
    WHERE hook = (SELECT hook FROM events WHERE seq = NEW.event);
END;
CREATE TRIGGER rows_changed AFTER UPDATE OF json ON rows BEGIN
    UPDATE used SET row_bytes = row_bytes + length(CAST(NEW.json AS BLOB)) - length(CAST(OLD.json AS BLOB)) WHERE hook = NEW.hook;
END;
