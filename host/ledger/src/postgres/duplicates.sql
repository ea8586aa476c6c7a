-- Version 3. How often an event came again, and what a duplicate gets.

ALTER TABLE events ADD COLUMN duplicates bigint NOT NULL DEFAULT 0, ADD COLUMN last_duplicate_ms bigint,
    ADD COLUMN last_duplicate uuid, ADD COLUMN conflicts bigint NOT NULL DEFAULT 0, ADD COLUMN last_conflict uuid;

-- The handler's reply, where duplicates get it again.
ALTER TABLE deliveries ADD COLUMN reply bytea;

-- The event with this identity that is the same delivery, or has another body. `p_body_key` is the key of this body under the
-- identity; NULL where the identity alone decides. `remember`: the key to remember if the new event is stored.
CREATE FUNCTION find_earlier(p_hook text, p_key bytea, p_body_key bytea, p_digest bytea)
RETURNS TABLE (same boolean, seq bigint, id uuid, remember bytea) LANGUAGE plpgsql AS $$
DECLARE
    first record;
    twin record;
BEGIN
    remember := p_key;
    SELECT e.seq, e.id, e.body_digest INTO first FROM dedup d JOIN events e ON e.seq = d.event
    WHERE d.hook = p_hook AND d.key = p_key AND d.until > now_ms();
    IF NOT FOUND THEN
        RETURN NEXT;
        RETURN;
    END IF;
    seq := first.seq;
    id := first.id;
    same := true;
    IF p_body_key IS NOT NULL AND first.body_digest <> p_digest THEN
        remember := p_body_key;
        SELECT e.seq, e.id INTO twin FROM dedup d JOIN events e ON e.seq = d.event
        WHERE d.hook = p_hook AND d.key = p_body_key AND d.until > now_ms();
        same := FOUND;
        IF FOUND THEN
            seq := twin.seq;
            id := twin.id;
        END IF;
    END IF;
    RETURN NEXT;
END $$;

-- The state of an event's latest delivery: 0 pending (due after `wait` ms), 1 running, 2 done, 3 dead. One without deliveries was
-- handed to a broker: it counts as done here.
CREATE FUNCTION latest(p_event bigint) RETURNS TABLE (state integer, wait bigint, reply bytea) LANGUAGE plpgsql AS $$
BEGIN
    SELECT d.state, greatest(d.due - now_ms(), 0), d.reply INTO state, wait, reply
    FROM deliveries d WHERE d.event = p_event ORDER BY d.id DESC LIMIT 1;
    IF NOT FOUND THEN
        state := 2;
    END IF;
    RETURN NEXT;
END $$;

CREATE FUNCTION count_duplicate(p_event bigint, p_id uuid, p_received bigint) RETURNS void LANGUAGE sql AS $$
    UPDATE events SET duplicates = duplicates + 1, last_duplicate_ms = p_received, last_duplicate = p_id WHERE seq = p_event
$$;

DROP FUNCTION arrive(uuid, text, bigint, bytea, bytea, bytea, bytea, bytea, bigint, bytea, bigint, integer, uuid, bigint);
DROP FUNCTION accept(uuid, text, bigint, bytea, bytea, bytea, bytea, bytea, bigint, bytea, bigint, uuid, bigint, text);

-- Stores a new event with its delivery, unless an earlier event is the same delivery. kind: 0 new, 1 duplicate of `other`, 2 new
-- although `other` has the same identity and another body. A duplicate of a dead event gets it a new delivery (state 3), or, with
-- `p_dead_runs`, is stored and run in its place.
CREATE FUNCTION accept(p_id uuid, p_hook text, p_received bigint, p_head bytea, p_body bytea, p_digest bytea,
                       p_checksum bytea, p_key bytea, p_body_key bytea, p_window bigint, p_order bytea, p_delay bigint,
                       p_owner uuid, p_lease bigint, p_dead text, p_dead_runs boolean)
RETURNS TABLE (kind integer, other uuid, delivery bigint, state integer, wait bigint, reply bytea) LANGUAGE plpgsql AS $$
DECLARE
    first record;
    earlier record;
    it record;
    is_duplicate boolean;
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
    kind := 0;
    IF p_key IS NOT NULL THEN
        -- Another request with the same identity waits here, and then reads what is there by then.
        INSERT INTO dedup (hook, key, event, until) VALUES (p_hook, p_key, 0, 0) ON CONFLICT DO NOTHING;
        PERFORM 1 FROM dedup d WHERE d.hook = p_hook AND d.key = p_key FOR UPDATE;
        SELECT * INTO earlier FROM find_earlier(p_hook, p_key, p_body_key, p_digest);
        IF earlier.same THEN
            SELECT * INTO it FROM latest(earlier.seq);
            is_duplicate := it.state < 3;
            IF NOT is_duplicate AND NOT p_dead_runs THEN
                -- Where the body of the dead event is gone, this request is the only copy, and an event of its own.
                SELECT r.kind < 2 INTO is_duplicate FROM replay(earlier.id, 0) r;
            END IF;
            IF is_duplicate THEN
                PERFORM count_duplicate(earlier.seq, p_id, p_received);
                kind := 1;
                other := earlier.id;
                state := it.state;
                wait := it.wait;
                reply := it.reply;
                RETURN NEXT;
                RETURN;
            END IF;
        ELSIF earlier.seq IS NOT NULL THEN
            kind := 2;
            other := earlier.id;
            UPDATE events SET conflicts = conflicts + 1, last_conflict = p_id WHERE seq = earlier.seq;
        END IF;
    END IF;
    seq_of := insert_event(p_id, p_hook, p_received, p_head, p_body, p_digest, p_checksum);
    IF p_dead IS NOT NULL THEN
        PERFORM insert_dead(seq_of, p_hook, p_dead);
        DELETE FROM dedup d WHERE d.hook = p_hook AND d.key = p_key AND d.until = 0;
        RETURN NEXT;
        RETURN;
    END IF;
    IF p_key IS NOT NULL THEN
        INSERT INTO dedup (hook, key, event, until) VALUES (p_hook, earlier.remember, seq_of, now_ms() + p_window)
        ON CONFLICT (hook, key) DO UPDATE SET event = excluded.event, until = excluded.until;
    END IF;
    SELECT * INTO made FROM insert_delivery(seq_of, p_hook, p_order, p_delay, false, p_owner, p_lease);
    delivery := CASE WHEN made.begun THEN made.delivery END;
    RETURN NEXT;
END $$;

-- Where an event stands that a broker brings; its attempt has begun if it may. kind: 0 begun (`other`: an event with the same
-- identity and another body), 1 ended (with why, where it is dead), 2 waits so many ms, 3 duplicate of `other`.
CREATE FUNCTION arrive(p_id uuid, p_hook text, p_received bigint, p_head bytea, p_body bytea, p_digest bytea,
                       p_checksum bytea, p_key bytea, p_body_key bytea, p_window bigint, p_replay bytea,
                       p_replay_window bigint, p_number integer, p_owner uuid, p_lease bigint)
RETURNS TABLE (kind integer, delivery bigint, number integer, wait bigint, why text, other uuid) LANGUAGE plpgsql AS $$
DECLARE
    now bigint := now_ms();
    seq_of bigint;
    it record;
    made record;
BEGIN
    SELECT e.seq INTO seq_of FROM events e WHERE e.id = p_id FOR UPDATE;
    IF NOT FOUND THEN
        SELECT * INTO made FROM accept(p_id, p_hook, p_received, p_head, p_body, p_digest, p_checksum,
            CASE WHEN p_replay IS NULL THEN p_key END, p_body_key, p_window, NULL, 0, p_owner, p_lease, NULL, true);
        IF made.delivery IS NULL AND (made.kind <> 1 OR made.other = p_id) THEN
            -- Another node has begun it just now.
            kind := 2;
            wait := 1000;
            RETURN NEXT;
            RETURN;
        END IF;
        other := made.other;
        IF made.kind = 1 THEN
            kind := 3;
            RETURN NEXT;
            RETURN;
        END IF;
        delivery := made.delivery;
        number := greatest(p_number, 1);
        SELECT e.seq INTO seq_of FROM events e WHERE e.id = p_id;
    ELSE
        SELECT * INTO it FROM deliveries d WHERE d.event = seq_of ORDER BY d.id DESC LIMIT 1 FOR UPDATE;
        IF NOT FOUND THEN
            -- It was handed to the broker from here, and its id is still known.
            INSERT INTO payloads (event, body) VALUES (seq_of, p_body) ON CONFLICT DO NOTHING;
            SELECT * INTO made FROM insert_delivery(seq_of, p_hook, NULL, 0, p_replay IS NOT NULL, p_owner, p_lease);
            delivery := made.delivery;
            number := 1;
        ELSIF it.state = 0 AND it.due <= now THEN
            delivery := it.id;
            number := it.attempt + 1;
        ELSIF it.state = 1 AND NOT it.blocked THEN
            -- It is being handed over, and here it is already.
            delivery := it.id;
            number := it.attempt;
        ELSIF it.state < 2 THEN
            kind := 2;
            wait := CASE WHEN it.state = 0 THEN it.due - now ELSE greatest(it.lease_until - now, 0) END;
            RETURN NEXT;
            RETURN;
        ELSIF p_replay IS NOT NULL AND NOT EXISTS (SELECT 1 FROM dedup d WHERE d.hook = p_hook AND d.key = p_replay) THEN
            SELECT * INTO made FROM insert_delivery(seq_of, p_hook, NULL, 0, true, p_owner, p_lease);
            delivery := made.delivery;
            number := 1;
        ELSE
            kind := 1;
            why := CASE WHEN it.state = 3 THEN it.reason END;
            RETURN NEXT;
            RETURN;
        END IF;
    END IF;
    IF p_replay IS NOT NULL THEN
        INSERT INTO dedup (hook, key, event, until) VALUES (p_hook, p_replay, seq_of, now + p_replay_window) ON CONFLICT DO NOTHING;
    END IF;
    UPDATE deliveries d SET state = 1, blocked = true, attempt = number, owner = p_owner, lease_until = now + p_lease,
        replayed = d.replayed OR p_replay IS NOT NULL WHERE d.id = delivery;
    kind := 0;
    RETURN NEXT;
END $$;

-- Whether an earlier event is the same delivery, and the state of its latest delivery; counts a duplicate of one that is not dead.
CREATE FUNCTION find_duplicate(p_hook text, p_key bytea, p_body_key bytea, p_digest bytea, p_id uuid, p_received bigint)
RETURNS TABLE (other uuid, state integer, wait bigint, reply bytea) LANGUAGE plpgsql AS $$
DECLARE
    earlier record;
    it record;
BEGIN
    SELECT * INTO earlier FROM find_earlier(p_hook, p_key, p_body_key, p_digest);
    IF earlier.same THEN
        SELECT * INTO it FROM latest(earlier.seq);
        IF it.state < 3 THEN
            PERFORM count_duplicate(earlier.seq, p_id, p_received);
        END IF;
        other := earlier.id;
        state := it.state;
        wait := it.wait;
        reply := it.reply;
        RETURN NEXT;
    END IF;
END $$;

-- One step of letting go: ids whose window is over, values that have expired, bodies of what was done, and everything about what
-- ended long ago. How much it was.
CREATE OR REPLACE FUNCTION prune(p_keep_bodies bigint, p_keep bigint, p_step integer) RETURNS integer LANGUAGE plpgsql AS $$
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
        -- Nobody can tell later that the event died: a redelivery must run, so its identity goes too.
        DELETE FROM dedup i USING deliveries d WHERE d.id = it.id AND d.state = 3 AND i.event = d.event
            AND NOT EXISTS (SELECT 1 FROM deliveries later WHERE later.event = d.event AND later.id > d.id);
        DELETE FROM attempts WHERE delivery = it.id;
        DELETE FROM deliveries WHERE id = it.id;
        PERFORM drop_event(it.event);
        done := done + 1;
    END LOOP;
    RETURN done;
END $$;
