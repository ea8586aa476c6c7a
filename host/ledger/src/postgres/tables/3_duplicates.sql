-- Version 3. How often an event was received again, and what a duplicate gets. `last_duplicate` and `last_conflict` are event ids.
ALTER TABLE events ADD COLUMN duplicates bigint NOT NULL DEFAULT 0, ADD COLUMN last_duplicate_ms bigint,
    ADD COLUMN last_duplicate uuid, ADD COLUMN conflicts bigint NOT NULL DEFAULT 0, ADD COLUMN last_conflict uuid;

-- The handler's reply, if duplicates get it again.
ALTER TABLE deliveries ADD COLUMN reply bytea;
