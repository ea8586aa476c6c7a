-- Version 5. Commands of operators in bulk.

-- Operators' commands that change several deliveries run one at a time: each holds many events and order keys.
CREATE FUNCTION lock_operators() RETURNS void LANGUAGE sql VOLATILE AS $$ SELECT pg_advisory_xact_lock(4724, 1) $$;

-- A new delivery of an old event. kind: 0 queued, 1 it waits or runs already, 2 the event or its body is gone, 3 it is discarded, and
-- not wanted `again`, 4 it has a later delivery than `p_repeated`, 5 no node could decode it. `p_dry` changes nothing.
DROP FUNCTION replay(uuid, bigint, boolean);
CREATE FUNCTION replay(p_event uuid, p_delay bigint, p_again boolean DEFAULT false, p_repeated bigint DEFAULT NULL,
                       p_dry boolean DEFAULT false)
RETURNS TABLE (kind integer, hook text) LANGUAGE plpgsql AS $$
DECLARE
    it record;
    first record;
    latest record;
    held boolean;
BEGIN
    SELECT e.seq, e.hook INTO it FROM events e JOIN payloads p ON p.event = e.seq WHERE e.id = p_event;
    IF FOUND AND NOT p_dry THEN
        -- Two replays of an event come one after the other. It may be gone by then.
        PERFORM 1 FROM events e JOIN payloads p ON p.event = e.seq WHERE e.seq = it.seq FOR UPDATE OF e;
    END IF;
    IF NOT FOUND THEN
        kind := 2;
        RETURN NEXT;
        RETURN;
    END IF;

    SELECT d.id, d.state INTO latest FROM deliveries d WHERE d.event = it.seq ORDER BY d.id DESC LIMIT 1;
    held := EXISTS (SELECT 1 FROM deliveries d WHERE d.event = it.seq AND d.state = 0 AND d.blocked AND d.order_key IS NULL);
    IF it.hook = '_queue' THEN
        kind := 5;
    ELSIF NOT held AND EXISTS (SELECT 1 FROM deliveries d WHERE d.event = it.seq AND d.state < 2) THEN
        kind := 1;
    ELSIF p_repeated < latest.id THEN
        kind := 4;
    ELSIF NOT held AND NOT p_again AND latest.state = 5 THEN
        kind := 3;
    ELSE
        kind := 0;
        hook := it.hook;
    END IF;
    IF kind = 0 AND NOT p_dry THEN
        IF held THEN
            -- What only a broker begins may wait for one that has lost it.
            UPDATE deliveries d SET blocked = false, replayed = true, due = now_ms() + p_delay
            WHERE d.event = it.seq AND d.state = 0 AND d.blocked AND d.order_key IS NULL;
        ELSE
            SELECT d.order_key INTO first FROM deliveries d WHERE d.event = it.seq ORDER BY d.id LIMIT 1;
            PERFORM insert_delivery(it.seq, it.hook, first.order_key, p_delay, true, NULL, 0);
        END IF;
    END IF;
    RETURN NEXT;
END $$;

-- Replays these events in their order, `p_apart` microseconds between two that are queued.
CREATE FUNCTION replay_all(p_events uuid[], p_repeated bigint[], p_delay bigint, p_apart bigint, p_again boolean, p_dry boolean)
RETURNS TABLE (kind integer, hook text) LANGUAGE plpgsql AS $$
DECLARE
    queued bigint := 0;
BEGIN
    IF NOT p_dry THEN
        PERFORM lock_operators();
        -- Events before order keys, as everything else takes them.
        PERFORM 1 FROM events e WHERE e.id = ANY (p_events) ORDER BY e.seq FOR UPDATE;
    END IF;
    FOR i IN 1 .. coalesce(array_length(p_events, 1), 0) LOOP
        SELECT r.kind, r.hook INTO kind, hook
        FROM replay(p_events[i], p_delay + queued * p_apart / 1000, p_again, p_repeated[i], p_dry) r;
        IF kind = 0 THEN
            queued := queued + 1;
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;

-- Dead and pending ones of these deliveries are not run any more; which those were. What another transaction holds is being taken by a
-- worker, and stays.
CREATE OR REPLACE FUNCTION discard(p_deliveries bigint[], p_reason text) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
DECLARE
    it record;
BEGIN
    PERFORM lock_operators();
    -- Order keys before deliveries, as the end of an attempt takes them.
    FOR it IN SELECT DISTINCT d.hook, d.order_key FROM deliveries d
              WHERE d.id = ANY (p_deliveries) AND d.state IN (0, 3) AND d.order_key IS NOT NULL ORDER BY 1, 2 LOOP
        PERFORM lock_order(it.hook, it.order_key);
    END LOOP;
    FOR it IN SELECT d.id, d.hook, d.order_key FROM deliveries d WHERE d.id = ANY (p_deliveries) AND d.state IN (0, 3)
              ORDER BY d.id FOR UPDATE SKIP LOCKED LOOP
        UPDATE deliveries d SET state = 5, discarded = p_reason, ended = coalesce(d.ended, now_ms()) WHERE d.id = it.id;
        IF it.order_key IS NOT NULL THEN
            PERFORM unblock_next(it.hook, it.order_key);
        END IF;
        RETURN NEXT it.id;
    END LOOP;
END $$;
