-- What an operator does to deliveries.

-- Commands of operators that change several deliveries run one at a time: each locks many events and order keys.
CREATE OR REPLACE FUNCTION lock_operators() RETURNS void LANGUAGE sql VOLATILE AS
    $$ SELECT pg_advisory_xact_lock(4724, 1) $$;

-- A new delivery of a stored event. SQLite: `operator::replay`. kind: 0 queued, 1 it is pending or running already, 2 the event or its
-- body is gone, 3 it is discarded and `p_again` is false, 4 it has a later delivery than `p_repeated`, 5 no node could decode it, 6 it is
-- erased.
-- `p_dry` changes nothing.
CREATE OR REPLACE FUNCTION replay(p_event uuid, p_delay bigint, p_again boolean DEFAULT false, p_repeated bigint DEFAULT NULL,
                       p_dry boolean DEFAULT false)
RETURNS TABLE (kind integer, hook text) LANGUAGE plpgsql AS $$
DECLARE
    it record;
    first record;
    latest record;
    waits_for_broker boolean;
BEGIN
    SELECT e.seq, e.hook INTO it FROM events e JOIN payloads p ON p.event = e.seq WHERE e.id = p_event;
    IF FOUND AND NOT p_dry THEN
        -- Two replays of an event come one after the other. It may be gone by then.
        PERFORM 1 FROM events e JOIN payloads p ON p.event = e.seq WHERE e.seq = it.seq FOR UPDATE OF e;
    END IF;
    IF NOT FOUND THEN
        kind := CASE WHEN EXISTS (SELECT 1 FROM events e WHERE e.id = p_event AND e.erased_ms IS NOT NULL) THEN 6 ELSE 2 END;
        RETURN NEXT;
        RETURN;
    END IF;

    SELECT d.id, d.state INTO latest FROM deliveries d WHERE d.event = it.seq ORDER BY d.id DESC LIMIT 1;
    waits_for_broker := EXISTS (SELECT 1 FROM deliveries d
                    WHERE d.event = it.seq AND d.state = state_pending() AND d.blocked AND d.order_key IS NULL);
    IF it.hook = '_queue' THEN
        kind := 5;
    ELSIF NOT waits_for_broker AND EXISTS (SELECT 1 FROM deliveries d WHERE d.event = it.seq AND d.state < state_done()) THEN
        kind := 1;
    ELSIF p_repeated < latest.id THEN
        kind := 4;
    ELSIF NOT waits_for_broker AND NOT p_again AND latest.state = state_discarded() THEN
        kind := 3;
    ELSE
        kind := 0;
        hook := it.hook;
    END IF;
    IF kind = 0 AND NOT p_dry THEN
        IF waits_for_broker THEN
            -- The broker may have lost a delivery that only a broker begins: this node runs it.
            UPDATE deliveries d SET blocked = false, replayed = true, due = now_ms() + p_delay
            WHERE d.event = it.seq AND d.state = state_pending() AND d.blocked AND d.order_key IS NULL;
        ELSE
            SELECT coalesce(d.order_key, d.held_order) AS order_key INTO first FROM deliveries d WHERE d.event = it.seq
            ORDER BY d.id LIMIT 1;
            PERFORM insert_delivery(it.seq, it.hook, first.order_key, p_delay, true, NULL, 0);
        END IF;
    END IF;
    RETURN NEXT;
END $$;

-- Replays events in their order, `p_apart` microseconds between two that are queued. SQLite: `operator::replay_all`.
CREATE OR REPLACE FUNCTION replay_all(p_events uuid[], p_repeated bigint[], p_delay bigint, p_apart bigint, p_again boolean, p_dry boolean)
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

-- A replay that is done resolves the dead deliveries that it repeats. SQLite: the trigger `deliveries_resolve`.
CREATE OR REPLACE FUNCTION resolve() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE deliveries d SET state = state_resolved(), resolved_by = NEW.id
    WHERE d.id < NEW.id AND d.state IN (state_dead(), state_discarded())
    AND d.event IN (NEW.event, (SELECT o.event FROM deliveries o WHERE o.id = NEW.replay_of));
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER deliveries_resolve AFTER UPDATE OF state ON deliveries FOR EACH ROW
WHEN (NEW.state = state_done() AND NEW.replay_of IS NOT NULL) EXECUTE FUNCTION resolve();

-- Discards those of these deliveries that are dead or pending, and returns them. SQLite: `operator::discard`. A delivery that another
-- transaction has locked is being claimed, and stays.
CREATE OR REPLACE FUNCTION discard(p_deliveries bigint[], p_reason text) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
DECLARE
    it record;
    chosen bigint[];
    one bigint;
BEGIN
    PERFORM lock_operators();
    -- Order keys before deliveries, as the end of an attempt takes them.
    FOR it IN SELECT DISTINCT d.hook, d.order_key FROM deliveries d
              WHERE d.id = ANY (p_deliveries) AND d.state IN (state_pending(), state_dead())
              AND d.order_key IS NOT NULL ORDER BY 1, 2 LOOP
        PERFORM lock_order(it.hook, it.order_key);
    END LOOP;
    -- All are locked first: a loop over the rows would pass over those that it has unblocked itself.
    SELECT array_agg(l.id ORDER BY l.id) INTO chosen FROM (
        SELECT d.id FROM deliveries d WHERE d.id = ANY (p_deliveries) AND d.state IN (state_pending(), state_dead())
        ORDER BY d.id FOR UPDATE SKIP LOCKED) l;
    FOREACH one IN ARRAY coalesce(chosen, '{}') LOOP
        SELECT d.id, d.hook, d.order_key, d.state = state_pending() AND NOT d.blocked AS was_next INTO it
        FROM deliveries d WHERE d.id = one;
        UPDATE deliveries d SET state = state_discarded(), discarded = p_reason, ended = coalesce(d.ended, now_ms())
        WHERE d.id = it.id;
        -- Only this event of a batch is discarded.
        PERFORM free_members(it.id);
        -- Behind one that was dead or blocked, another one of the order key may run already.
        IF it.order_key IS NOT NULL AND (it.was_next OR NOT is_order_open(it.hook, it.order_key)) THEN
            PERFORM unblock_next(it.hook, it.order_key);
        END IF;
        RETURN NEXT it.id;
    END LOOP;
END $$;

-- Makes those of these deliveries due that are pending, and returns them. SQLite: `operator::retry_now`. One that waits for a broker
-- (blocked, without an order key) is sent to the broker again, as a replay is. Of one that waits for others, the group is due
-- (`held::make_due`), unless an event is joining it.
CREATE OR REPLACE FUNCTION retry_now(p_deliveries bigint[]) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY WITH later AS MATERIALIZED (
        SELECT d.id FROM deliveries d WHERE d.id = ANY (p_deliveries) AND d.state = state_pending() AND d.due > now_ms()
        ORDER BY d.id FOR UPDATE SKIP LOCKED)
    UPDATE deliveries d SET due = now_ms(), replayed = d.replayed OR (d.blocked AND d.order_key IS NULL),
        blocked = d.blocked AND d.order_key IS NOT NULL
    FROM later WHERE d.id = later.id RETURNING d.id;

    RETURN QUERY WITH of_waiting AS MATERIALIZED (
        SELECT h.hook, h.step, h.key, h.first, h.current FROM held h
        WHERE h.due >= now_ms() AND (h.step, h.first) IN (
            SELECT d.flow, CASE d.flow WHEN 1 THEN d.debounced ELSE d.batch END FROM deliveries d
            WHERE d.id = ANY (p_deliveries) AND d.state = state_waiting())
        FOR UPDATE OF h SKIP LOCKED),
    closed AS (
        UPDATE held h SET due = now_ms() FROM of_waiting g WHERE h.hook = g.hook AND h.step = g.step AND h.key = g.key),
    members AS (
        UPDATE deliveries d SET due = now_ms() FROM of_waiting g
        WHERE (d.id = g.current OR d.batch = g.first) AND d.flow = g.step AND d.state = state_waiting() RETURNING d.id)
    SELECT m.id FROM members m WHERE m.id = ANY (p_deliveries);
END $$;

-- Removes up to `p_limit` deliveries of a hook that do not run, and as many identities, rows and values: how many of each. SQLite:
-- `operator::purge`.
CREATE OR REPLACE FUNCTION purge(p_hook text, p_limit integer)
RETURNS TABLE (removed bigint, forgotten bigint, rows_gone bigint, values_gone bigint) LANGUAGE plpgsql AS $$
DECLARE
    it record;
    chosen bigint[];
    orders bytea[];
    one bytea;
BEGIN
    removed := 0;
    forgotten := 0;
    PERFORM close_all(p_hook);
    SELECT array_agg(c.id), array_agg(DISTINCT c.order_key) FILTER (WHERE c.state = state_pending() AND c.order_key IS NOT NULL)
    INTO chosen, orders FROM (
        SELECT d.id, d.state, d.order_key FROM deliveries d WHERE d.hook = p_hook AND d.state <> state_running()
        ORDER BY d.id LIMIT p_limit) c;
    -- Events before order keys, as a replay takes them, and order keys before deliveries, as the end of an attempt does.
    PERFORM 1 FROM events e WHERE e.seq IN (SELECT d.event FROM deliveries d WHERE d.id = ANY (chosen)) ORDER BY e.seq FOR UPDATE;
    FOR one IN SELECT o.key FROM unnest(orders) AS o (key) ORDER BY 1 LOOP
        PERFORM lock_order(p_hook, one);
    END LOOP;
    -- One that has become pending meanwhile, under another order key, is left to the next step.
    FOR it IN SELECT d.id, d.event FROM deliveries d WHERE d.id = ANY (chosen) AND d.state <> state_running()
              AND (d.state <> state_pending() OR d.order_key IS NULL OR d.order_key = ANY (orders))
              ORDER BY d.id FOR UPDATE SKIP LOCKED LOOP
        DELETE FROM attempts a WHERE a.delivery = it.id;
        DELETE FROM deliveries d WHERE d.id = it.id;
        PERFORM drop_event(it.event);
        removed := removed + 1;
    END LOOP;
    -- A purge may be interrupted: what is left must not wait for one that was removed.
    FOR one IN SELECT o.key FROM unnest(orders) AS o (key) ORDER BY 1 LOOP
        IF NOT is_order_open(p_hook, one) THEN
            PERFORM unblock_next(p_hook, one);
        END IF;
    END LOOP;
    FOR it IN SELECT i.key, i.event FROM dedup i WHERE i.hook = p_hook LIMIT p_limit FOR UPDATE SKIP LOCKED LOOP
        DELETE FROM dedup i WHERE i.hook = p_hook AND i.key = it.key;
        PERFORM drop_event(it.event);
        forgotten := forgotten + 1;
    END LOOP;
    -- A transaction that changes values of a hook locks its row.
    PERFORM 1 FROM used u WHERE u.hook = p_hook FOR UPDATE;
    DELETE FROM rows r WHERE r.id IN (SELECT o.id FROM rows o WHERE o.hook = p_hook LIMIT p_limit);
    GET DIAGNOSTICS rows_gone = ROW_COUNT;
    DELETE FROM kv k WHERE k.hook = p_hook AND k.key IN (SELECT o.key FROM kv o WHERE o.hook = p_hook LIMIT p_limit);
    GET DIAGNOSTICS values_gone = ROW_COUNT;
    DELETE FROM used u WHERE u.hook = p_hook
        AND NOT EXISTS (SELECT 1 FROM rows r WHERE r.hook = p_hook)
        AND NOT EXISTS (SELECT 1 FROM kv k WHERE k.hook = p_hook);
    DELETE FROM paused x WHERE x.hook = p_hook;
    RETURN NEXT;
END $$;
