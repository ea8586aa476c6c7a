-- Version 1. The tables are those of the SQLite ledger; times are this server's, in ms since 1970.

-- One verified request each, unchangeable.
CREATE TABLE events (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL UNIQUE,
    hook text NOT NULL,
    received_ms bigint NOT NULL,
    head bytea NOT NULL,
    body_bytes bigint NOT NULL,
    body_digest bytea NOT NULL,
    checksum bytea NOT NULL
);

-- Apart, so that history stays small and bodies can go first.
CREATE TABLE payloads (event bigint PRIMARY KEY, body bytea NOT NULL);

-- Delivery identities of accepted events, kept for their window.
CREATE TABLE dedup (
    hook text NOT NULL,
    key bytea NOT NULL,
    event bigint NOT NULL,
    until bigint NOT NULL,
    PRIMARY KEY (hook, key)
);
CREATE INDEX dedup_until ON dedup (until);
CREATE INDEX dedup_event ON dedup (event);

-- The obligation to handle one event. state: 0 pending, 1 running, 2 done, 3 dead. `attempt` counts those that have begun;
-- `unfinished` those that took their process with them. A pending one is `blocked` while an earlier one of its key is
-- neither done nor dead. `pruned`: its body need not be kept on its account.
CREATE TABLE deliveries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event bigint NOT NULL,
    hook text NOT NULL,
    state smallint NOT NULL,
    due bigint NOT NULL,
    attempt integer NOT NULL DEFAULT 0,
    unfinished integer NOT NULL DEFAULT 0,
    blocked boolean NOT NULL DEFAULT false,
    order_key bytea,
    owner uuid,
    lease_until bigint,
    ended bigint,
    reason text,
    replayed boolean NOT NULL DEFAULT false,
    pruned boolean NOT NULL DEFAULT false
) WITH (fillfactor = 80);
CREATE INDEX deliveries_event ON deliveries (event);
CREATE INDEX deliveries_due ON deliveries (hook, due) WHERE state = 0 AND NOT blocked;
CREATE INDEX deliveries_key ON deliveries (hook, order_key, id) WHERE state < 2 AND order_key IS NOT NULL;
CREATE INDEX deliveries_running ON deliveries (lease_until) WHERE state = 1;
CREATE INDEX deliveries_ended ON deliveries (ended) WHERE state >= 2;
CREATE INDEX deliveries_prunable ON deliveries (ended) WHERE state = 2 AND NOT pruned;
CREATE INDEX deliveries_dead ON deliveries (hook, id) WHERE state = 3;

-- One try each. `record` is JSON: log, memory, calls.
CREATE TABLE attempts (
    delivery bigint NOT NULL,
    number integer NOT NULL,
    started_ms bigint NOT NULL,
    duration_us bigint NOT NULL,
    outcome text NOT NULL,
    reason text NOT NULL,
    status integer,
    record text NOT NULL,
    PRIMARY KEY (delivery, number)
);

-- Hooks that an operator has paused.
CREATE TABLE paused (hook text PRIMARY KEY);

-- Rows that handlers stored, to be queried. `text` is there only where `json` cannot say the same.
CREATE TABLE rows (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hook text NOT NULL,
    name text NOT NULL,
    event_id uuid NOT NULL,
    received_at timestamptz NOT NULL,
    json jsonb,
    text text
);
CREATE INDEX rows_name ON rows (hook, name, id);

-- Values that handlers keep by key.
CREATE TABLE kv (
    hook text NOT NULL,
    key bytea NOT NULL,
    is_text boolean NOT NULL,
    value bytea NOT NULL,
    until bigint,
    PRIMARY KEY (hook, key)
);
CREATE INDEX kv_until ON kv (until) WHERE until IS NOT NULL;

-- Bytes that a hook keeps. A transaction that changes values of a hook locks its row first.
CREATE TABLE used (
    hook text PRIMARY KEY,
    kv_bytes bigint NOT NULL DEFAULT 0,
    row_bytes bigint NOT NULL DEFAULT 0
);
