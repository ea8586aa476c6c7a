-- Version 11. Events that do not run at once ([filter], [debounce] and [batch] of a hook file). More states: -1 waiting, 6 filtered,
-- 7 superseded. `flow`: what held the delivery last: 0 nothing, 1 a debounced group, 2 a batch, 3 the filter; 4 its batch was split, 5 it
-- was not held. `debounced` and `batch`: the first delivery of its debounced group, and of its batch: that one carries the batch, has its
-- lease and its attempts. `held_order`: the order key, while the delivery waits. `batch_attempts`: attempts of the whole batch, which do
-- not count after a split.
ALTER TABLE deliveries ADD COLUMN flow smallint NOT NULL DEFAULT 0, ADD COLUMN debounced bigint, ADD COLUMN batch bigint,
    ADD COLUMN held_order bytea, ADD COLUMN batch_attempts integer NOT NULL DEFAULT 0;
CREATE INDEX deliveries_waiting ON deliveries (hook, id) WHERE state = -1;
-- The delivery of a group that others of it name. A group may have any number of superseded ones.
CREATE INDEX deliveries_debounced ON deliveries (debounced) WHERE debounced IS NOT NULL AND state <> 7;
CREATE INDEX deliveries_batch ON deliveries (batch, id) WHERE batch IS NOT NULL;

-- The open groups. step: 1 debounce, 2 batch. `first`: the number of the group, its first delivery. `current`: the delivery that runs.
-- `since` and `due`: when the group was opened, and when it is closed. The batch of a debounced event: `batch_key`, `batch_count`,
-- `batch_ms`, `batch_max` (bytes), `batch_bytes` (of the event).
CREATE TABLE held (
    hook text NOT NULL,
    step smallint NOT NULL,
    key bytea NOT NULL,
    first bigint NOT NULL,
    current bigint NOT NULL,
    since bigint NOT NULL,
    due bigint NOT NULL,
    members bigint NOT NULL,
    bytes bigint NOT NULL,
    batch_key bytea,
    batch_count bigint,
    batch_ms bigint,
    batch_max bigint,
    batch_bytes bigint,
    PRIMARY KEY (hook, step, key)
);
CREATE INDEX held_due ON held (hook, due);
CREATE INDEX held_first ON held (first);

-- The number of open groups of a hook at a step when it was counted last, so that a new group need not count the others.
CREATE TABLE held_open (
    hook text NOT NULL,
    step smallint NOT NULL,
    open bigint NOT NULL,
    counted bigint NOT NULL,
    PRIMARY KEY (hook, step)
);
