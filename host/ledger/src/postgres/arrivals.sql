-- Events that a broker brings. Their deliveries are blocked for good, so that nobody but the broker begins them.

-- Where an event stands; its attempt has begun if it may. kind: 0 begun, 1 ended (with why, where it is dead), 2 waits so many ms.
CREATE FUNCTION arrive(p_id uuid, p_hook text, p_received bigint, p_head bytea, p_body bytea, p_digest bytea,
                       p_checksum bytea, p_key bytea, p_window bigint, p_replay bytea, p_replay_window bigint,
                       p_number integer, p_owner uuid, p_lease bigint)
RETURNS TABLE (kind integer, delivery bigint, number integer, wait bigint, why text) LANGUAGE plpgsql AS $$
DECLARE
    now bigint := now_ms();
    seq_of bigint;
    it record;
    made record;
BEGIN
    SELECT e.seq INTO seq_of FROM events e WHERE e.id = p_id FOR UPDATE;
    IF NOT FOUND THEN
        SELECT * INTO made FROM accept(p_id, p_hook, p_received, p_head, p_body, p_digest, p_checksum,
            CASE WHEN p_replay IS NULL THEN p_key END, p_window, NULL, 0, p_owner, p_lease, NULL);
        IF made.delivery IS NULL AND (made.kind = 0 OR made.other = p_id) THEN
            -- Somebody else has begun it just now.
            kind := 2;
            wait := 1000;
            RETURN NEXT;
            RETURN;
        END IF;
        IF made.kind > 0 THEN
            kind := 1;
            why := CASE WHEN made.kind = 2 THEN 'conflict' END;
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

-- A new delivery of an old event. kind: 0 queued, 1 it waits or runs already, 2 the event or its body is gone.
CREATE OR REPLACE FUNCTION replay(p_event uuid, p_delay bigint) RETURNS TABLE (kind integer, hook text) LANGUAGE plpgsql AS $$
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
    ELSE
        SELECT d.order_key INTO first FROM deliveries d WHERE d.event = it.seq ORDER BY d.id LIMIT 1;
        PERFORM insert_delivery(it.seq, it.hook, first.order_key, p_delay, true, NULL, 0);
        kind := 0;
        hook := it.hook;
    END IF;
    RETURN NEXT;
END $$;

-- The broker has these claimed deliveries: they, and events that nothing else names, are forgotten here; their ids are still known.
-- What it has brought already is begun, and no longer ours to hand over.
CREATE FUNCTION hand_over(p_deliveries bigint[], p_attempts integer[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    it record;
BEGIN
    -- Whoever holds one of these begins or ends it just now: it is no longer ours, and to wait for it could be for ever.
    FOR it IN SELECT d.id, d.event, d.hook, d.order_key, d.attempt FROM deliveries d JOIN events e ON e.seq = d.event
              JOIN unnest(p_deliveries, p_attempts) AS held (id, attempt) ON d.id = held.id AND d.attempt = held.attempt
              WHERE d.state = 1 AND NOT d.blocked ORDER BY d.id FOR UPDATE OF e, d SKIP LOCKED LOOP
        IF it.attempt > 1 THEN
            -- It has a history: it waits here, too, until the broker brings it.
            UPDATE deliveries SET state = 0, blocked = true, attempt = it.attempt - 1, owner = NULL, lease_until = NULL
            WHERE id = it.id;
            CONTINUE;
        END IF;
        DELETE FROM attempts WHERE delivery = it.id;
        DELETE FROM deliveries WHERE id = it.id;
        IF it.order_key IS NOT NULL THEN
            PERFORM lock_order(it.hook, it.order_key);
            PERFORM unblock_next(it.hook, it.order_key);
        END IF;
        PERFORM drop_event(it.event);
    END LOOP;
END $$;

-- The broker has not taken these, as far as is known.
CREATE FUNCTION keep_on(p_deliveries bigint[], p_attempts integer[], p_pause bigint) RETURNS void LANGUAGE sql AS $$
    UPDATE deliveries d SET state = 0, attempt = d.attempt - 1, due = now_ms() + p_pause, owner = NULL, lease_until = NULL
    FROM unnest(p_deliveries, p_attempts) AS held (id, attempt)
    WHERE d.id = held.id AND d.attempt = held.attempt AND d.state = 1 AND NOT d.blocked
$$;
