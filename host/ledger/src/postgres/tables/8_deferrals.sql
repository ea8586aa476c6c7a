-- Version 8. Attempts that deferred the event: their number, and when the first of them was stored (ledger time). `start_received`
-- returns both.
ALTER TABLE deliveries ADD COLUMN IF NOT EXISTS deferrals integer NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN IF NOT EXISTS deferred_since bigint;
DROP FUNCTION IF EXISTS start_received(
    uuid, text, bigint, bytea, bytea, bytea, bytea, bytea, bytea, bigint, bytea, bigint, integer, uuid, bigint);
