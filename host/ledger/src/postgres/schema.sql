-- Version 1. The tables are those of the SQLite ledger; time is this server's, in ms since 1970.

CREATE FUNCTION now_ms() RETURNS bigint LANGUAGE sql VOLATILE AS
    'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint';

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

-- Provider's ids that have been accepted, as long as their window.
CREATE TABLE dedup (
    hook text NOT NULL,
    key bytea NOT NULL,
    event bigint NOT NULL,
    until bigint NOT NULL,
    PRIMARY KEY (hook, key)
);
CREATE INDEX dedup_until ON dedup (until);
CREATE INDEX dedup_event ON dedup (event);

-- The duty to get one event handled. state: 0 pending, 1 running, 2 done, 3 dead. `attempt` counts those that have begun;
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

-- Hooks whose events wait, at the operator's word.
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

-- Bytes that a hook keeps. Whoever changes values of a hook holds its row: one after another.
CREATE TABLE used (
    hook text PRIMARY KEY,
    kv_bytes bigint NOT NULL DEFAULT 0,
    row_bytes bigint NOT NULL DEFAULT 0
);

-- What JSON allows and jsonb does not (zero characters, numbers without bounds) is no error.
CREATE FUNCTION as_jsonb(p_text text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN p_text::jsonb;
EXCEPTION WHEN others THEN
    RETURN NULL;
END $$;

-- One at a time of the same order key: whoever queues or ends one holds this lock to the end of the transaction.
CREATE FUNCTION lock_order(p_hook text, p_order bytea) RETURNS void LANGUAGE sql VOLATILE AS
    $$ SELECT pg_advisory_xact_lock(hashtextextended(p_hook || ' ' || encode(p_order, 'hex'), 4724)) $$;

CREATE FUNCTION insert_event(p_id uuid, p_hook text, p_received bigint, p_head bytea, p_body bytea, p_digest bytea,
                             p_checksum bytea) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    seq_of bigint;
BEGIN
    INSERT INTO events (id, hook, received_ms, head, body_bytes, body_digest, checksum)
    VALUES (p_id, p_hook, p_received, p_head, octet_length(p_body), p_digest, p_checksum)
    RETURNING seq INTO seq_of;
    INSERT INTO payloads (event, body) VALUES (seq_of, p_body);
    RETURN seq_of;
END $$;

-- A delivery of an event that is kept. Its number, and whether `p_owner` has it now.
CREATE FUNCTION insert_delivery(p_event bigint, p_hook text, p_order bytea, p_delay bigint, p_replayed boolean,
                                p_owner uuid, p_lease bigint) RETURNS TABLE (delivery bigint, begun boolean)
LANGUAGE plpgsql AS $$
DECLARE
    now bigint := now_ms();
    waits boolean := false;
BEGIN
    IF p_order IS NOT NULL THEN
        PERFORM lock_order(p_hook, p_order);
        waits := EXISTS (SELECT 1 FROM deliveries d WHERE d.hook = p_hook AND d.order_key = p_order AND d.state < 2);
    END IF;
    begun := p_owner IS NOT NULL AND NOT waits;
    INSERT INTO deliveries (event, hook, state, due, attempt, blocked, order_key, owner, lease_until, replayed)
    VALUES (p_event, p_hook, CASE WHEN begun THEN 1 ELSE 0 END, now + p_delay, CASE WHEN begun THEN 1 ELSE 0 END, waits,
            p_order, CASE WHEN begun THEN p_owner END, CASE WHEN begun THEN now + p_lease END, p_replayed)
    RETURNING id INTO delivery;
    RETURN NEXT;
END $$;

-- Keeps a new event with its delivery, unless it has come before. kind: 0 new, 1 duplicate, 2 conflict.
CREATE FUNCTION accept(p_id uuid, p_hook text, p_received bigint, p_head bytea, p_body bytea, p_digest bytea,
                       p_checksum bytea, p_key bytea, p_window bigint, p_order bytea, p_delay bigint, p_owner uuid,
                       p_lease bigint, p_dead text)
RETURNS TABLE (kind integer, other uuid, delivery bigint) LANGUAGE plpgsql AS $$
DECLARE
    before record;
    first record;
    seq_of bigint;
    made record;
BEGIN
    -- The same event once more: the answer to its first time was lost.
    SELECT d.id, d.state, d.attempt, d.owner INTO first
    FROM events e JOIN deliveries d ON d.event = e.seq WHERE e.id = p_id ORDER BY d.id LIMIT 1;
    IF FOUND THEN
        kind := 0;
        delivery := CASE WHEN first.state = 1 AND first.attempt = 1 AND first.owner = p_owner THEN first.id END;
        RETURN NEXT;
        RETURN;
    END IF;
    IF p_key IS NOT NULL THEN
        -- Whoever comes with the same key meanwhile waits here, and then reads what is there by then.
        INSERT INTO dedup (hook, key, event, until) VALUES (p_hook, p_key, 0, 0) ON CONFLICT DO NOTHING;
        SELECT d.event, d.until INTO before FROM dedup d WHERE d.hook = p_hook AND d.key = p_key FOR UPDATE;
        SELECT e.id, e.body_digest INTO first FROM events e WHERE e.seq = before.event;
        IF FOUND AND before.until > now_ms() THEN
            kind := CASE WHEN first.body_digest = p_digest THEN 1 ELSE 2 END;
            other := first.id;
            IF kind = 2 THEN
                PERFORM insert_dead(insert_event(p_id, p_hook, p_received, p_head, p_body, p_digest, p_checksum), p_hook, 'conflict');
            END IF;
            RETURN NEXT;
            RETURN;
        END IF;
    END IF;
    kind := 0;
    seq_of := insert_event(p_id, p_hook, p_received, p_head, p_body, p_digest, p_checksum);
    IF p_dead IS NOT NULL THEN
        PERFORM insert_dead(seq_of, p_hook, p_dead);
        DELETE FROM dedup d WHERE d.hook = p_hook AND d.key = p_key AND d.until = 0;
        RETURN NEXT;
        RETURN;
    END IF;
    IF p_key IS NOT NULL THEN
        INSERT INTO dedup (hook, key, event, until) VALUES (p_hook, p_key, seq_of, now_ms() + p_window)
        ON CONFLICT (hook, key) DO UPDATE SET event = excluded.event, until = excluded.until;
    END IF;
    SELECT * INTO made FROM insert_delivery(seq_of, p_hook, p_order, p_delay, false, p_owner, p_lease);
    delivery := CASE WHEN made.begun THEN made.delivery END;
    RETURN NEXT;
END $$;

CREATE FUNCTION insert_dead(p_event bigint, p_hook text, p_why text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO deliveries (event, hook, state, due, ended, reason) VALUES (p_event, p_hook, 3, now_ms(), now_ms(), p_why)
$$;

CREATE FUNCTION write_attempt(p_delivery bigint, p_number integer, p_started bigint, p_duration bigint, p_outcome text,
                              p_reason text, p_status integer, p_record text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO attempts (delivery, number, started_ms, duration_us, outcome, reason, status, record)
    VALUES (p_delivery, p_number, p_started, p_duration, p_outcome, p_reason, p_status, p_record)
    ON CONFLICT (delivery, number) DO UPDATE SET started_ms = p_started, duration_us = p_duration, outcome = p_outcome,
        reason = p_reason, status = p_status, record = p_record
$$;

-- The next of the same key may run.
CREATE FUNCTION unblock_next(p_hook text, p_order bytea) RETURNS void LANGUAGE sql AS $$
    UPDATE deliveries SET blocked = false WHERE id = (
        SELECT min(id) FROM deliveries WHERE hook = p_hook AND order_key = p_order AND state < 2)
$$;

-- Ends a lease: state 0 again after the pause, 2 done, 3 dead. 0: it is somebody else's by now; 1: it is ended; 2: it was ended just
-- so before, and the answer to that was lost.
CREATE FUNCTION finish(p_delivery bigint, p_number integer, p_state integer, p_pause bigint, p_why text, p_started bigint,
                       p_duration bigint, p_outcome text, p_reason text, p_status integer, p_record text)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    now bigint := now_ms();
    it record;
BEGIN
    UPDATE deliveries SET state = p_state, due = now + p_pause, reason = p_why, ended = CASE WHEN p_state >= 2 THEN now END,
        unfinished = 0, owner = NULL, lease_until = NULL
    WHERE id = p_delivery AND state = 1 AND attempt = p_number RETURNING hook, order_key INTO it;
    IF NOT FOUND THEN
        RETURN CASE WHEN EXISTS (SELECT 1 FROM attempts a WHERE a.delivery = p_delivery AND a.number = p_number
            AND a.started_ms = p_started AND a.duration_us = p_duration AND a.outcome = p_outcome) THEN 2 ELSE 0 END;
    END IF;
    PERFORM write_attempt(p_delivery, p_number, p_started, p_duration, p_outcome, p_reason, p_status, p_record);
    IF p_state >= 2 AND it.order_key IS NOT NULL THEN
        PERFORM lock_order(it.hook, it.order_key);
        PERFORM unblock_next(it.hook, it.order_key);
    END IF;
    RETURN 1;
END $$;

-- Frees leases that have run out. An attempt that another process did not finish counts; after `p_max` in a row the
-- delivery is dead.
CREATE FUNCTION recover(p_owner uuid, p_max integer) RETURNS TABLE (freed integer, given_up integer) LANGUAGE plpgsql AS $$
DECLARE
    now bigint := now_ms();
    it record;
BEGIN
    freed := 0;
    given_up := 0;
    FOR it IN SELECT * FROM deliveries WHERE state = 1 AND lease_until < now ORDER BY id LIMIT 1000 FOR UPDATE SKIP LOCKED LOOP
        freed := freed + 1;
        -- A lease that this process has lost is no sign that the event ends processes.
        it.unfinished := it.unfinished + CASE WHEN it.owner IS DISTINCT FROM p_owner THEN 1 ELSE 0 END;
        PERFORM write_attempt(it.id, it.attempt, 0, 0, 'unfinished', 'the process ended, or lost the lease, while it ran', NULL, '{}');
        IF it.unfinished >= p_max THEN
            given_up := given_up + 1;
            UPDATE deliveries SET state = 3, due = now, unfinished = it.unfinished, reason = 'crashed-host', ended = now,
                owner = NULL, lease_until = NULL WHERE id = it.id;
            IF it.order_key IS NOT NULL THEN
                PERFORM lock_order(it.hook, it.order_key);
                PERFORM unblock_next(it.hook, it.order_key);
            END IF;
        ELSE
            UPDATE deliveries SET state = 0, due = now, unfinished = it.unfinished, reason = NULL, owner = NULL,
                lease_until = NULL WHERE id = it.id;
        END IF;
    END LOOP;
    RETURN NEXT;
END $$;

-- A new delivery of an old event. kind: 0 queued, 1 it waits or runs already, 2 the event or its body is gone.
CREATE FUNCTION replay(p_event uuid, p_delay bigint) RETURNS TABLE (kind integer, hook text) LANGUAGE plpgsql AS $$
DECLARE
    it record;
    first record;
BEGIN
    SELECT e.seq, e.hook INTO it FROM events e JOIN payloads p ON p.event = e.seq WHERE e.id = p_event FOR UPDATE OF e;
    IF NOT FOUND THEN
        kind := 2;
    ELSIF EXISTS (SELECT 1 FROM deliveries d WHERE d.event = it.seq AND d.state < 2) THEN
        kind := 1;
    ELSE
        SELECT d.order_key INTO first FROM deliveries d WHERE d.event = it.seq ORDER BY d.id LIMIT 1;
        PERFORM insert_delivery(it.seq, it.hook, first.order_key, p_delay, true, NULL, 0);
        kind := 0;
        hook := it.hook;
    END IF;
    RETURN NEXT;
END $$;

-- Keeps an event that has been answered already. Its delivery.
CREATE FUNCTION keep_answered(p_id uuid, p_hook text, p_received bigint, p_head bytea, p_body bytea, p_digest bytea,
                       p_checksum bytea, p_state integer, p_why text, p_started bigint, p_duration bigint, p_outcome text,
                       p_reason text, p_status integer, p_record text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    made bigint;
BEGIN
    INSERT INTO deliveries (event, hook, state, due, attempt, ended, reason)
    VALUES (insert_event(p_id, p_hook, p_received, p_head, p_body, p_digest, p_checksum), p_hook, p_state, now_ms(), 1,
            now_ms(), p_why) RETURNING id INTO made;
    PERFORM write_attempt(made, 1, p_started, p_duration, p_outcome, p_reason, p_status, p_record);
    RETURN made;
END $$;

-- An event that no delivery and no id names any more; its body, as soon as no delivery does.
CREATE FUNCTION drop_event(p_event bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- Whoever replays it holds the event.
    PERFORM 1 FROM events WHERE seq = p_event FOR UPDATE;
    IF NOT EXISTS (SELECT 1 FROM deliveries WHERE event = p_event) THEN
        DELETE FROM payloads WHERE event = p_event;
        DELETE FROM events WHERE seq = p_event AND NOT EXISTS (SELECT 1 FROM dedup WHERE event = p_event);
    END IF;
END $$;

-- One step of letting go: ids whose window is over, values that have expired, bodies of what was done, and everything about what
-- ended long ago. How much it was.
CREATE FUNCTION prune(p_keep_bodies bigint, p_keep bigint, p_step integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    now bigint := now_ms();
    done integer := 0;
    it record;
    gone bigint;
BEGIN
    FOR it IN SELECT hook, key, event FROM dedup WHERE until < now ORDER BY until LIMIT p_step FOR UPDATE SKIP LOCKED LOOP
        DELETE FROM dedup WHERE hook = it.hook AND key = it.key;
        PERFORM drop_event(it.event);
        done := done + 1;
    END LOOP;
    FOR it IN SELECT DISTINCT hook FROM kv WHERE until <= now LIMIT 10 LOOP
        PERFORM 1 FROM used WHERE hook = it.hook FOR UPDATE SKIP LOCKED;
        IF FOUND THEN
            WITH old AS (SELECT key AS k FROM kv WHERE hook = it.hook AND until <= now ORDER BY until LIMIT p_step),
            expired AS (DELETE FROM kv USING old WHERE kv.hook = it.hook AND kv.key = old.k
                        RETURNING octet_length(kv.key) + octet_length(kv.value) AS bytes)
            SELECT coalesce(sum(bytes), 0), done + count(*)::integer INTO gone, done FROM expired;
            UPDATE used SET kv_bytes = kv_bytes - gone WHERE hook = it.hook;
        END IF;
    END LOOP;
    FOR it IN SELECT id, event FROM deliveries WHERE state = 2 AND NOT pruned AND ended < now - p_keep_bodies
              ORDER BY ended LIMIT p_step FOR UPDATE SKIP LOCKED LOOP
        UPDATE deliveries SET pruned = true WHERE id = it.id;
        PERFORM 1 FROM events WHERE seq = it.event FOR UPDATE;
        DELETE FROM payloads p WHERE p.event = it.event
            AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.event = it.event AND d.state <> 2);
        done := done + 1;
    END LOOP;
    FOR it IN SELECT id, event FROM deliveries WHERE state >= 2 AND ended < now - p_keep
              ORDER BY ended LIMIT p_step FOR UPDATE SKIP LOCKED LOOP
        DELETE FROM attempts WHERE delivery = it.id;
        DELETE FROM deliveries WHERE id = it.id;
        PERFORM drop_event(it.event);
        done := done + 1;
    END LOOP;
    RETURN done;
END $$;
