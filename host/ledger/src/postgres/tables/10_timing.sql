-- Version 10. `verify_us` and `stored_us`: the way of a request to the ledger, in microseconds: the check of its sender, and from the end of
-- the request until a node sent its row. NULL: unknown. The functions that store an event have two more parameters; those with fewer stay
-- for nodes of older versions that still run.
ALTER TABLE events ADD COLUMN verify_us bigint, ADD COLUMN stored_us bigint;

-- `answered`: the caller got the outcome (mode sync). Dead, such a delivery is no dead letter: the caller knows, and can send it again.
ALTER TABLE deliveries ADD COLUMN answered boolean NOT NULL DEFAULT false;
CREATE INDEX deliveries_dead_letters ON deliveries (hook) WHERE state = 3 AND NOT answered;
