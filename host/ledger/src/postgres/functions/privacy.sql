-- What operators erase, and the retention of one hook.

-- Removes what an event contains; the fact of it stays. SQLite: `erase::erase`. kind: 0 it is erased, 1 a delivery of it is pending or
-- running, 2 it was erased before, 3 it is unknown. `p_dry` changes nothing. A table that holds content of an event, an attempt or a
-- delivery is cleared here.
CREATE OR REPLACE FUNCTION erase(p_event uuid, p_at bigint, p_dry boolean)
RETURNS TABLE (kind integer, attempts_of bigint, rows_of bigint, values_of bigint) LANGUAGE plpgsql AS $$
DECLARE
    it record;
    all_deliveries bigint[];
    owners uuid[];
    gone bigint;
BEGIN
    attempts_of := 0;
    rows_of := 0;
    values_of := 0;
    -- A replay locks the event.
    SELECT e.seq, e.hook, e.erased_ms INTO it FROM events e WHERE e.id = p_event FOR UPDATE;
    IF NOT FOUND THEN
        kind := 3;
        RETURN NEXT;
        RETURN;
    END IF;
    IF it.erased_ms IS NOT NULL THEN
        kind := 2;
        RETURN NEXT;
        RETURN;
    END IF;
    SELECT coalesce(array_agg(d.id), '{}') INTO all_deliveries FROM deliveries d WHERE d.event = it.seq;
    IF EXISTS (SELECT 1 FROM deliveries d WHERE d.id = ANY (all_deliveries) AND d.state < state_done()) THEN
        kind := 1;
        RETURN NEXT;
        RETURN;
    END IF;

    kind := 0;
    -- The results of a batch are stored under its first event.
    SELECT coalesce(array_agg(DISTINCT r.id), '{}') || p_event INTO owners
    FROM deliveries m JOIN deliveries o ON o.id = m.batch JOIN events r ON r.seq = o.event
    WHERE m.event = it.seq AND m.flow = 2;
    SELECT count(*) INTO attempts_of FROM attempts a WHERE a.delivery = ANY (all_deliveries);
    SELECT count(*) INTO rows_of FROM rows r WHERE r.event_id = ANY (owners);
    SELECT count(*) INTO values_of FROM kv k WHERE k.event_id = ANY (owners) AND k.hook <> '_try-groups';
    IF p_dry THEN
        RETURN NEXT;
        RETURN;
    END IF;

    DELETE FROM payloads p WHERE p.event = it.seq;
    UPDATE attempts a SET record = '{}', reason = '' WHERE a.delivery = ANY (all_deliveries);
    DELETE FROM recordings r WHERE r.delivery = ANY (all_deliveries)
        OR (r.delivery, r.number) IN (
            SELECT a.delivery, a.number FROM deliveries m JOIN deliveries o ON o.id = m.batch JOIN attempts a ON a.delivery = o.id
            WHERE m.event = it.seq AND (o.flow <> 4 OR a.number <= o.batch_attempts));
    UPDATE deliveries o SET reply = NULL FROM deliveries m
    WHERE m.event = it.seq AND m.flow = 2 AND o.id = m.batch AND o.reply IS NOT NULL;
    -- After an attempt of the first event alone, the reason is that of this attempt.
    UPDATE deliveries o SET reason = NULL FROM deliveries m
    WHERE m.event = it.seq AND o.id = m.batch AND o.reason IS NOT NULL
        AND (o.flow <> 4 OR NOT EXISTS (SELECT 1 FROM attempts a WHERE a.delivery = o.id AND a.number > o.batch_attempts));
    UPDATE attempts a SET record = '{}', reason = '' FROM deliveries m JOIN deliveries o ON o.id = m.batch
    WHERE m.event = it.seq AND a.delivery = o.id AND (o.flow <> 4 OR a.number <= o.batch_attempts);
    UPDATE deliveries d SET reason = NULL, reply = NULL, order_key = NULL, held_order = NULL, pruned = true,
        discarded = CASE WHEN d.state = state_dead() THEN 'erased' ELSE d.discarded END,
        state = CASE WHEN d.state = state_dead() THEN state_discarded() ELSE d.state END
    WHERE d.id = ANY (all_deliveries);
    -- Identities that are, or contain, a digest of the body, or a keyed one.
    DELETE FROM dedup i WHERE i.event = it.seq
        AND (octet_length(i.key) = 32 OR position('\x00626f647900'::bytea IN i.key) > 0 OR position('\x0073656e7400'::bytea IN i.key) > 0
             OR position('\x007365616c656400'::bytea IN i.key) > 0);
    UPDATE events e SET head = ''::bytea, body_digest = decode(repeat('00', 32), 'hex'), checksum = decode(repeat('00', 16), 'hex'),
        erased_ms = p_at
    WHERE e.seq = it.seq;

    -- A transaction that changes values of a hook locks its row first.
    PERFORM 1 FROM used u WHERE u.hook = it.hook FOR UPDATE;
    WITH old AS (DELETE FROM rows r WHERE r.event_id = ANY (owners) RETURNING octet_length(coalesce(r.text, r.json::text)) AS bytes)
    SELECT coalesce(sum(bytes), 0) INTO gone FROM old;
    UPDATE used u SET row_bytes = greatest(0, u.row_bytes - gone) WHERE u.hook = it.hook;
    -- Groups of published tries with a sample of the event are not counted as values of its hook.
    WITH old AS (DELETE FROM kv k WHERE k.event_id = ANY (owners)
                 RETURNING CASE WHEN k.hook = '_try-groups' THEN 0 ELSE octet_length(k.key) + octet_length(k.value) END AS bytes)
    SELECT coalesce(sum(bytes), 0) INTO gone FROM old;
    UPDATE used u SET kv_bytes = greatest(0, u.kv_bytes - gone) WHERE u.hook = it.hook;
    RETURN NEXT;
END $$;

-- One step of the retention of one hook: bodies of done deliveries, and deliveries that ended long ago. Returns how many it removed.
-- SQLite: `retention::step_of`.
CREATE OR REPLACE FUNCTION prune_hook(p_hook text, p_keep_bodies bigint, p_keep bigint, p_step integer)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    now bigint := now_ms();
    done integer := 0;
    it record;
BEGIN
    FOR it IN SELECT d.id, d.event FROM deliveries d
              WHERE d.hook = p_hook AND d.state = state_done() AND NOT d.pruned AND d.ended < now - p_keep_bodies
              ORDER BY d.ended LIMIT p_step FOR UPDATE SKIP LOCKED LOOP
        UPDATE deliveries SET pruned = true WHERE id = it.id;
        PERFORM 1 FROM events WHERE seq = it.event FOR UPDATE;
        DELETE FROM payloads p WHERE p.event = it.event
            AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.event = it.event
                            AND d.state NOT IN (state_done(), state_resolved()));
        done := done + 1;
    END LOOP;
    FOR it IN SELECT d.id, d.event FROM deliveries d WHERE d.hook = p_hook AND d.state >= state_done() AND d.ended < now - p_keep
              ORDER BY d.ended LIMIT p_step FOR UPDATE SKIP LOCKED LOOP
        -- Without the dead delivery a redelivery must run: the identity goes too.
        DELETE FROM dedup i USING deliveries d WHERE d.id = it.id AND d.state = state_dead() AND i.event = d.event
            AND NOT EXISTS (SELECT 1 FROM deliveries later WHERE later.event = d.event AND later.id > d.id);
        DELETE FROM attempts WHERE delivery = it.id;
        DELETE FROM deliveries WHERE id = it.id;
        PERFORM drop_event(it.event);
        done := done + 1;
    END LOOP;
    RETURN done;
END $$;

-- One step of what has a time of its own: identities whose window is over, and expired values. Returns how many it removed. SQLite:
-- `retention::step`.
CREATE OR REPLACE FUNCTION prune_expired(p_step integer) RETURNS integer LANGUAGE plpgsql AS $$
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
    RETURN done;
END $$;

-- One step of retention, for nodes of versions before 11 that still run. They do not know the retention of each hook, so that only
-- newer nodes remove by age.
CREATE OR REPLACE FUNCTION prune(p_keep_bodies bigint, p_keep bigint, p_step integer) RETURNS integer LANGUAGE sql VOLATILE AS
    $$ SELECT prune_expired(p_step) $$;
