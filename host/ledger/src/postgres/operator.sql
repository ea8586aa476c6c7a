-- Version 4. What an operator does to deliveries.

-- `replay_of`: the delivery that this one repeats. `resolved_by`: the delivery that has handled the event since. `discarded`: the
-- reason of the operator. Two more states: 4 resolved (it was dead), 5 discarded.
ALTER TABLE deliveries ADD COLUMN replay_of bigint, ADD COLUMN resolved_by bigint, ADD COLUMN discarded text;
CREATE INDEX deliveries_hook ON deliveries (hook, id);
UPDATE deliveries d SET replay_of = (SELECT max(o.id) FROM deliveries o WHERE o.event = d.event AND o.id < d.id)
WHERE d.replayed;
UPDATE deliveries d SET state = 4, resolved_by = (
    SELECT min(o.id) FROM deliveries o WHERE o.event = d.event AND o.id > d.id AND o.state = 2)
WHERE d.state = 3 AND EXISTS (SELECT 1 FROM deliveries o WHERE o.event = d.event AND o.id > d.id AND o.state = 2);

CREATE FUNCTION resolve() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE deliveries d SET state = 4, resolved_by = NEW.id
    WHERE d.id < NEW.id AND d.state IN (3, 5)
    AND d.event IN (NEW.event, (SELECT o.event FROM deliveries o WHERE o.id = NEW.replay_of));
    RETURN NULL;
END $$;
CREATE TRIGGER deliveries_resolve AFTER UPDATE OF state ON deliveries FOR EACH ROW
WHEN (NEW.state = 2 AND NEW.replay_of IS NOT NULL) EXECUTE FUNCTION resolve();

-- A delivery of an event that is kept. Its number, and whether `p_owner` has it now.
CREATE OR REPLACE FUNCTION insert_delivery(p_event bigint, p_hook text, p_order bytea, p_delay bigint, p_replayed boolean,
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
    INSERT INTO deliveries (event, hook, state, due, attempt, blocked, order_key, owner, lease_until, replayed,
                            replay_of)
    VALUES (p_event, p_hook, CASE WHEN begun THEN 1 ELSE 0 END, now + p_delay, CASE WHEN begun THEN 1 ELSE 0 END, waits,
            p_order, CASE WHEN begun THEN p_owner END, CASE WHEN begun THEN now + p_lease END, p_replayed,
            CASE WHEN p_replayed THEN (SELECT max(d.id) FROM deliveries d WHERE d.event = p_event) END)
    RETURNING id INTO delivery;
    RETURN NEXT;
END $$;

-- The state of an event's latest delivery: 0 pending (due after `wait` ms), 1 running, 2 done, 3 dead. One without deliveries was
-- handed to a broker: it counts as done here, and so does one that an operator has discarded.
CREATE OR REPLACE FUNCTION latest(p_event bigint) RETURNS TABLE (state integer, wait bigint, reply bytea) LANGUAGE plpgsql AS $$
BEGIN
    SELECT d.state, greatest(d.due - now_ms(), 0), d.reply INTO state, wait, reply
    FROM deliveries d WHERE d.event = p_event ORDER BY d.id DESC LIMIT 1;
    IF NOT FOUND OR state > 3 THEN
        state := 2;
    END IF;
    RETURN NEXT;
END $$;

-- Stores a new event with its delivery, unless an earlier event is the same delivery. kind: 0 new, 1 duplicate of `other`, 2 new
-- although `other` has the same identity and another body. A duplicate of a dead event gets it a new delivery (state 3), or, with
-- `p_dead_runs`, is stored and run in its place.
CREATE OR REPLACE FUNCTION accept(p_id uuid, p_hook text, p_received bigint, p_head bytea, p_body bytea, p_digest bytea,
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
    IF p_key IS NOT NULL THEN
        IF earlier.same THEN
            -- It is dead, and this one runs in its place.
            UPDATE deliveries d SET replay_of = (SELECT max(o.id) FROM deliveries o WHERE o.event = earlier.seq)
            WHERE d.id = made.delivery;
        END IF;
    END IF;
    delivery := CASE WHEN made.begun THEN made.delivery END;
    RETURN NEXT;
END $$;

-- A new delivery of an old event. kind: 0 queued, 1 it waits or runs already, 2 the event or its body is gone, 3 it is discarded, and
-- not wanted `again`.
DROP FUNCTION replay(uuid, bigint);
CREATE FUNCTION replay(p_event uuid, p_delay bigint, p_again boolean DEFAULT false) RETURNS TABLE (kind integer, hook text)
LANGUAGE plpgsql AS $$
DECLARE
    it record;
    first record;
BEGIN
    SELECT e.seq, e.hook INTO it FROM events e JOIN payloads p ON p.event = e.seq WHERE e.id = p_event FOR UPDATE OF e;
    IF NOT FOUND THEN
        kind := 2;
    ELSIF EXISTS (SELECT 1 FROM deliveries d WHERE d.event = it.seq AND d.state < 2) THEN
        -- What only a broker begins may wait for one that has lost it.
        UPDATE deliveries d SET blocked = false, replayed = true, due = now_ms() + p_delay
        WHERE d.event = it.seq AND d.state = 0 AND d.blocked AND d.order_key IS NULL;
        kind := CASE WHEN FOUND THEN 0 ELSE 1 END;
        hook := it.hook;
    ELSIF NOT p_again AND (SELECT d.state FROM deliveries d WHERE d.event = it.seq ORDER BY d.id DESC LIMIT 1) = 5 THEN
        kind := 3;
    ELSE
        SELECT d.order_key INTO first FROM deliveries d WHERE d.event = it.seq ORDER BY d.id LIMIT 1;
        PERFORM insert_delivery(it.seq, it.hook, first.order_key, p_delay, true, NULL, 0);
        kind := 0;
        hook := it.hook;
    END IF;
    RETURN NEXT;
END $$;

-- Dead and pending ones of these deliveries are not run any more; which those were. What another transaction holds is being taken by a
-- worker, and stays.
CREATE FUNCTION discard(p_deliveries bigint[], p_reason text) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
DECLARE
    it record;
BEGIN
    FOR it IN SELECT d.id, d.hook, d.order_key FROM deliveries d WHERE d.id = ANY (p_deliveries) AND d.state IN (0, 3)
              ORDER BY d.id FOR UPDATE SKIP LOCKED LOOP
        UPDATE deliveries d SET state = 5, discarded = p_reason, ended = coalesce(d.ended, now_ms()) WHERE d.id = it.id;
        IF it.order_key IS NOT NULL THEN
            PERFORM lock_order(it.hook, it.order_key);
            PERFORM unblock_next(it.hook, it.order_key);
        END IF;
        RETURN NEXT it.id;
    END LOOP;
END $$;

-- Pending ones of these deliveries are due now; which those were. What a broker holds until then (blocked, without an order key) is
-- sent to it again, as a replay is.
CREATE FUNCTION retry_now(p_deliveries bigint[]) RETURNS SETOF bigint LANGUAGE sql AS $$
    WITH waiting AS MATERIALIZED (
        SELECT d.id FROM deliveries d WHERE d.id = ANY (p_deliveries) AND d.state = 0 AND d.due > now_ms()
        ORDER BY d.id FOR UPDATE SKIP LOCKED)
    UPDATE deliveries d SET due = now_ms(), replayed = d.replayed OR (d.blocked AND d.order_key IS NULL),
        blocked = d.blocked AND d.order_key IS NOT NULL
    FROM waiting WHERE d.id = waiting.id RETURNING d.id
$$;

-- Removes up to `p_limit` deliveries of a hook that do not run, and as many identities, rows and values: how many of each.
CREATE FUNCTION purge(p_hook text, p_limit integer)
RETURNS TABLE (removed bigint, forgotten bigint, rows_gone bigint, values_gone bigint) LANGUAGE plpgsql AS $$
DECLARE
    it record;
BEGIN
    removed := 0;
    forgotten := 0;
    FOR it IN SELECT d.id, d.event FROM deliveries d WHERE d.hook = p_hook AND d.state <> 1
              ORDER BY d.id LIMIT p_limit FOR UPDATE SKIP LOCKED LOOP
        DELETE FROM attempts a WHERE a.delivery = it.id;
        DELETE FROM deliveries d WHERE d.id = it.id;
        PERFORM drop_event(it.event);
        removed := removed + 1;
    END LOOP;
    FOR it IN SELECT i.key, i.event FROM dedup i WHERE i.hook = p_hook LIMIT p_limit FOR UPDATE SKIP LOCKED LOOP
        DELETE FROM dedup i WHERE i.hook = p_hook AND i.key = it.key;
        PERFORM drop_event(it.event);
        forgotten := forgotten + 1;
    END LOOP;
    -- Whoever changes values of a hook holds its row.
    PERFORM 1 FROM used u WHERE u.hook = p_hook FOR UPDATE;
    DELETE FROM rows r WHERE r.id IN (SELECT o.id FROM rows o WHERE o.hook = p_hook LIMIT p_limit);
    GET DIAGNOSTICS rows_gone = ROW_COUNT;
    DELETE FROM kv k WHERE k.hook = p_hook AND k.key IN (SELECT o.key FROM kv o WHERE o.hook = p_hook LIMIT p_limit);
    GET DIAGNOSTICS values_gone = ROW_COUNT;
    DELETE FROM used u WHERE u.hook = p_hook
        AND NOT EXISTS (SELECT 1 FROM rows r WHERE r.hook = p_hook) AND NOT EXISTS (SELECT 1 FROM kv k WHERE k.hook = p_hook);
    DELETE FROM paused x WHERE x.hook = p_hook;
    RETURN NEXT;
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
            AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.event = it.event AND d.state NOT IN (2, 4));
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
