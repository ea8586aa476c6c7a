-- Recordings of attempts. `until` is ledger time; NULL: as long as the attempt. `recording` is JSON.
CREATE TABLE recordings (
    delivery INTEGER NOT NULL,
    number INTEGER NOT NULL,
    hook TEXT NOT NULL,
    until INTEGER,
    recording BLOB NOT NULL,
    PRIMARY KEY (delivery, number)
);
CREATE INDEX recordings_hook ON recordings (hook, delivery, number);
CREATE INDEX recordings_until ON recordings (until) WHERE until IS NOT NULL;
CREATE TRIGGER recordings_of_attempt AFTER DELETE ON attempts BEGIN
    DELETE FROM recordings WHERE delivery = OLD.delivery AND number = OLD.number;
END;
CREATE TRIGGER recordings_in AFTER INSERT ON recordings BEGIN
    UPDATE used SET history_bytes = history_bytes + octet_length(NEW.recording) WHERE hook = NEW.hook;
END;
CREATE TRIGGER recordings_out AFTER DELETE ON recordings BEGIN
    UPDATE used SET history_bytes = history_bytes - octet_length(OLD.recording) WHERE hook = OLD.hook;
END;
-- A recording is replaced if it is encrypted with another key.
CREATE TRIGGER recordings_changed AFTER UPDATE OF recording ON recordings BEGIN
    UPDATE used SET history_bytes = history_bytes + octet_length(NEW.recording) - octet_length(OLD.recording) WHERE hook = NEW.hook;
END;
