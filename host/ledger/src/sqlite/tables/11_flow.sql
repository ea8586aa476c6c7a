-- Events that do not run at once ([filter], [debounce] and [batch] of a hook file). More states: -1 waiting, 6 filtered, 7 superseded.
-- `flow`: what held the delivery last: 0 nothing, 1 a debounced group, 2 a batch, 3 the filter; 4 its batch was split. `debounced` and
-- `batch`: the first delivery of its debounced group, and of its batch: that one carries the batch, has its lease and its attempts.
-- `held_order`: the order key, while the delivery waits. `batch_attempts`: attempts of the whole batch, which do not count after a split.
ALTER TABLE deliveries ADD COLUMN flow INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN debounced INTEGER;
ALTER TABLE deliveries ADD COLUMN batch INTEGER;
ALTER TABLE deliveries ADD COLUMN held_order TEXT;
ALTER TABLE deliveries ADD COLUMN batch_attempts INTEGER NOT NULL DEFAULT 0;
CREATE INDEX deliveries_waiting ON deliveries (hook, id) WHERE state = -1;
-- The delivery of a group that others of it name. A group may have any number of superseded ones.
CREATE INDEX deliveries_debounced ON deliveries (debounced) WHERE debounced IS NOT NULL AND state <> 7;
CREATE INDEX deliveries_batch ON deliveries (batch, id) WHERE batch IS NOT NULL;

-- The open groups. step: 1 debounce, 2 batch. `first`: the number of the group, its first delivery. `current`: the delivery that runs.
-- `since` and `due` are ledger time: when the group was opened, and when it is closed. The batch of a debounced event: `batch_key`,
-- `batch_count`, `batch_ms`, `batch_max` (bytes), `batch_bytes` (of the event).
CREATE TABLE held (
    hook TEXT NOT NULL,
    step INTEGER NOT NULL,
    key BLOB NOT NULL,
    first INTEGER NOT NULL,
    current INTEGER NOT NULL,
    since INTEGER NOT NULL,
    due INTEGER NOT NULL,
    members INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    batch_key BLOB,
    batch_count INTEGER,
    batch_ms INTEGER,
    batch_max INTEGER,
    batch_bytes INTEGER,
    PRIMARY KEY (hook, step, key)
) WITHOUT ROWID;
CREATE INDEX held_due ON held (hook, due);
CREATE INDEX held_first ON held (first);

-- The number of open groups of a hook at a step: a new group need not count the others.
CREATE TABLE held_open (
    hook TEXT NOT NULL,
    step INTEGER NOT NULL,
    open INTEGER NOT NULL,
    PRIMARY KEY (hook, step)
) WITHOUT ROWID;
CREATE TRIGGER held_opened AFTER INSERT ON held BEGIN
    INSERT INTO held_open (hook, step, open) VALUES (NEW.hook, NEW.step, 1)
    ON CONFLICT (hook, step) DO UPDATE SET open = open + 1;
END;
CREATE TRIGGER held_closed AFTER DELETE ON held BEGIN
    UPDATE held_open SET open = open - 1 WHERE hook = OLD.hook AND step = OLD.step;
END;
