-- Events that wait: debounced groups and batches. A group is open while `held` has its row. SQLite: `held.rs`. A transaction that changes a
-- group locks its row first.

-- Makes a waiting delivery due. False: it does not wait. SQLite: `release`.
CREATE OR REPLACE FUNCTION release_held(p_delivery bigint) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    it record;
BEGIN
    SELECT d.hook, d.held_order INTO it FROM deliveries d WHERE d.id = p_delivery AND d.state = state_waiting();
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF it.held_order IS NOT NULL THEN
        PERFORM lock_order(it.hook, it.held_order);
    END IF;
    UPDATE deliveries d SET state = state_pending(), due = now_ms(), order_key = d.held_order,
        blocked = d.held_order IS NOT NULL AND EXISTS (
            SELECT 1 FROM deliveries o WHERE o.hook = d.hook AND o.order_key = d.held_order AND o.state < state_done())
    WHERE d.id = p_delivery AND d.state = state_waiting();
    RETURN FOUND;
END $$;

-- Lets a batch run: its first delivery carries it. If an operator has removed that, the next one does. A batch that is closed already stays
-- as it is: another one may collect under its key. SQLite: `close_batch`.
CREATE OR REPLACE FUNCTION close_batch(p_hook text, p_key bytea, p_first bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    next_one bigint;
BEGIN
    DELETE FROM held h WHERE h.hook = p_hook AND h.step = 2 AND h.key = p_key AND h.first = p_first;
    IF NOT FOUND OR release_held(p_first) THEN
        RETURN;
    END IF;
    SELECT min(d.id) INTO next_one FROM deliveries d WHERE d.batch = p_first AND d.state = state_waiting();
    IF next_one IS NOT NULL THEN
        UPDATE deliveries d SET batch = next_one WHERE d.batch = p_first AND d.state = state_waiting();
        PERFORM release_held(next_one);
    END IF;
END $$;

-- Whether the hook may have another open group. If not, the delivery says why it did not wait. The groups are counted at most 20 times a
-- second, by one transaction at a time, and less often while there are few: a counter that each group changes would be a lock for which
-- all nodes wait. SQLite: `may_open`.
CREATE OR REPLACE FUNCTION may_open(p_hook text, p_step integer, p_delivery bigint, p_groups bigint, p_why text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    now bigint := now_ms();
    known_open bigint;
    known_at bigint;
BEGIN
    SELECT c.open, c.counted INTO known_open, known_at FROM held_open c WHERE c.hook = p_hook AND c.step = p_step;
    IF known_at IS NULL OR now < known_at OR now > known_at + least(1000, greatest(50, (p_groups - known_open) / 10)) THEN
        IF pg_try_advisory_xact_lock(4725, hashtext(p_hook || ' ' || p_step)) THEN
            SELECT count(*) INTO known_open
            FROM (SELECT 1 FROM held h WHERE h.hook = p_hook AND h.step = p_step LIMIT p_groups) o;
            INSERT INTO held_open AS c (hook, step, open, counted) VALUES (p_hook, p_step, known_open, now)
            ON CONFLICT (hook, step) DO UPDATE SET open = excluded.open, counted = excluded.counted;
        END IF;
    END IF;
    IF coalesce(known_open, 0) < p_groups THEN
        RETURN true;
    END IF;
    UPDATE deliveries d SET reason = p_why WHERE d.id = p_delivery;
    RETURN false;
END $$;

-- Whether the row of an open group has values that no step writes, so that a step with them could fail. SQLite: the types of the columns.
CREATE OR REPLACE FUNCTION is_damaged(p_held held) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT p_held.step NOT IN (1, 2)
        OR p_held.members NOT BETWEEN 0 AND 1000000000000 OR p_held.bytes NOT BETWEEN 0 AND 1000000000000
        OR p_held.since NOT BETWEEN 0 AND 1000000000000000
        OR p_held.batch_key IS NOT NULL AND NOT coalesce(
            p_held.batch_count BETWEEN 1 AND 1000000000000 AND p_held.batch_ms BETWEEN 0 AND 1000000000000
            AND p_held.batch_max BETWEEN 0 AND 1000000000000 AND p_held.batch_bytes BETWEEN 0 AND 1000000000000, false)
$$;

-- Adds a waiting delivery to the batch that collects, and closes that if it is complete. Returns as `hold`. SQLite:
-- `join_batch`.
CREATE OR REPLACE FUNCTION join_batch(p_delivery bigint, p_hook text, p_key bytea, p_count bigint, p_ms bigint, p_max bigint,
                                      p_bytes bigint, p_groups bigint, p_why text) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    it held;
    done integer := 0;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.id = p_delivery AND d.state = state_waiting()) THEN
        RETURN 0;
    END IF;
    LOOP
        SELECT * INTO it FROM held h WHERE h.hook = p_hook AND h.step = 2 AND h.key = p_key FOR UPDATE;
        IF FOUND AND is_damaged(it) THEN
            DELETE FROM held h WHERE h.hook = p_hook AND h.step = 2 AND h.key = p_key;
            done := 16;
            CONTINUE;
        END IF;
        IF FOUND AND it.bytes + p_bytes > p_max THEN
            PERFORM close_batch(p_hook, p_key, it.first);
        ELSIF FOUND THEN
            UPDATE held h SET members = h.members + 1, bytes = h.bytes + p_bytes
            WHERE h.hook = p_hook AND h.step = 2 AND h.key = p_key RETURNING * INTO it;
            EXIT;
        ELSIF NOT may_open(p_hook, 2, p_delivery, p_groups, p_why) THEN
            PERFORM release_held(p_delivery);
            RETURN done | 8;
        END IF;
        -- Another transaction may open the group at the same time: then this one joins that.
        INSERT INTO held (hook, step, key, first, current, since, due, members, bytes)
        VALUES (p_hook, 2, p_key, p_delivery, p_delivery, now_ms(), now_ms() + p_ms, 1, p_bytes)
        ON CONFLICT DO NOTHING RETURNING * INTO it;
        EXIT WHEN FOUND;
    END LOOP;
    UPDATE deliveries d SET flow = 2, batch = it.first, due = it.due WHERE d.id = p_delivery;
    IF it.members >= p_count OR it.bytes >= p_max THEN
        PERFORM close_batch(p_hook, p_key, it.first);
    END IF;
    RETURN done | 4;
END $$;

-- Adds a delivery to its debounced group, unless the hook has too many open groups. Returns as `hold`. SQLite: `debounce`.
CREATE OR REPLACE FUNCTION debounce(p_delivery bigint, p_hook text, p_key bytea, p_wait bigint, p_maximum bigint, p_first boolean,
                                    p_batch_key bytea, p_batch_count bigint, p_batch_ms bigint, p_batch_max bigint,
                                    p_batch_bytes bigint, p_groups bigint, p_why text) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    now bigint := now_ms();
    it held;
    done integer := 0;
    due_at bigint := now + least(p_wait, p_maximum);
    runs bigint := p_delivery;
    ends bigint;
BEGIN
    LOOP
        SELECT * INTO it FROM held h WHERE h.hook = p_hook AND h.step = 1 AND h.key = p_key FOR UPDATE;
        IF FOUND AND is_damaged(it) THEN
            DELETE FROM held h WHERE h.hook = p_hook AND h.step = 1 AND h.key = p_key;
            done := 16;
            CONTINUE;
        END IF;
        EXIT WHEN FOUND;
        IF NOT may_open(p_hook, 1, p_delivery, p_groups, p_why) THEN
            RETURN done | 8;
        END IF;
        INSERT INTO held (hook, step, key, first, current, since, due, members, bytes, batch_key, batch_count, batch_ms, batch_max,
                          batch_bytes)
        VALUES (p_hook, 1, p_key, p_delivery, p_delivery, now, due_at, 1, 0, p_batch_key, p_batch_count, p_batch_ms, p_batch_max,
                p_batch_bytes) ON CONFLICT DO NOTHING;
        IF FOUND THEN
            UPDATE deliveries d SET flow = 1, debounced = p_delivery, due = due_at WHERE d.id = p_delivery;
            RETURN done | 2;
        END IF;
    END LOOP;
    -- The time of the server may have been set back.
    due_at := least(now + p_wait, least(it.since, now) + p_maximum);
    ends := it.current;
    -- Deliveries are numbered as they arrive, and may come here in another order.
    IF EXISTS (SELECT 1 FROM deliveries d WHERE d.id = it.current AND d.state = state_waiting())
       AND (CASE WHEN p_first THEN it.current < p_delivery ELSE it.current > p_delivery END) THEN
        runs := it.current;
        ends := p_delivery;
    END IF;
    UPDATE deliveries d SET flow = 1, debounced = it.first, due = due_at WHERE d.id IN (p_delivery, runs);
    UPDATE deliveries d SET state = state_superseded(), ended = now WHERE d.id = ends AND d.state = state_waiting();
    UPDATE held h SET current = runs, due = due_at, members = h.members + 1
    WHERE h.hook = p_hook AND h.step = 1 AND h.key = p_key;
    IF runs = p_delivery THEN
        UPDATE held h SET batch_key = p_batch_key, batch_count = p_batch_count, batch_ms = p_batch_ms, batch_max = p_batch_max,
            batch_bytes = p_batch_bytes
        WHERE h.hook = p_hook AND h.step = 1 AND h.key = p_key;
    END IF;
    RETURN done | 2;
END $$;

-- Applies the flow of the hook to the delivery of an event that has just been accepted, once. SQLite: `admit`. `p_filtered`: why the event
-- does not run. Returns what was done, the sum of 1 filtered, 2 debounced, 4 batched, 8 not held, 16 a
-- damaged group was removed (`FlowNotes::add_sum`).
CREATE OR REPLACE FUNCTION hold(p_id uuid, p_hook text, p_order bytea, p_filtered text, p_key bytea, p_wait bigint, p_maximum bigint,
                                p_first boolean, p_batch_key bytea, p_batch_count bigint, p_batch_ms bigint, p_batch_max bigint,
                                p_batch_bytes bigint, p_groups bigint, p_why text) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    it record;
    done integer := 0;
BEGIN
    SELECT d.id, d.state, d.flow INTO it FROM events e JOIN deliveries d ON d.event = e.seq
    WHERE e.id = p_id ORDER BY d.id LIMIT 1 FOR UPDATE OF d;
    -- The answer to an earlier call was lost.
    IF NOT FOUND OR it.flow <> 0 OR it.state <> state_pending() THEN
        RETURN 0;
    END IF;
    IF p_filtered IS NOT NULL THEN
        UPDATE deliveries d SET state = state_filtered(), flow = 3, reason = p_filtered, ended = now_ms(), held_order = p_order
        WHERE d.id = it.id;
        RETURN 1;
    END IF;
    UPDATE deliveries d SET state = state_waiting(), flow = 5, held_order = p_order WHERE d.id = it.id;
    IF p_key IS NOT NULL THEN
        done := debounce(it.id, p_hook, p_key, p_wait, p_maximum, p_first, p_batch_key, p_batch_count, p_batch_ms, p_batch_max,
                         p_batch_bytes, p_groups, p_why);
        IF done & 2 <> 0 THEN
            RETURN done;
        END IF;
    END IF;
    IF p_batch_key IS NULL THEN
        PERFORM release_held(it.id);
    ELSE
        done := done | join_batch(it.id, p_hook, p_batch_key, p_batch_count, p_batch_ms, p_batch_max, p_batch_bytes, p_groups, p_why);
    END IF;
    RETURN done;
END $$;

-- Closes the groups of a hook that are due: one node closes a group. Damaged rows are removed, and keep nothing from running: how many,
-- and how many events joined a batch, or did not because of the limit of open groups. SQLite: `close_due`. Debounced groups are locked
-- first, without waiting; then batches and order keys are waited for in their order, as by what accepts events. In the order of their
-- times, two nodes would wait for each other.
CREATE OR REPLACE FUNCTION close_due(p_hook text, p_groups bigint, p_why text, OUT batched bigint, OUT unheld bigint, OUT damaged bigint)
LANGUAGE plpgsql AS $$
DECLARE
    chosen held[];
    it held;
    done integer;
BEGIN
    batched := 0;
    unheld := 0;
    damaged := 0;
    SELECT array_agg(l::held) INTO chosen FROM (
        SELECT * FROM held h WHERE h.hook = p_hook AND h.due <= now_ms() AND h.step <> 2
        ORDER BY h.due LIMIT 500 FOR UPDATE SKIP LOCKED) l;
    FOR it IN SELECT g.* FROM (
                  SELECT * FROM unnest(chosen)
                  UNION ALL (SELECT * FROM held h WHERE h.hook = p_hook AND h.due <= now_ms() AND h.step = 2 ORDER BY h.due LIMIT 500)) g
              LEFT JOIN deliveries d ON d.id = g.current
              ORDER BY CASE WHEN g.step = 2 THEN g.key ELSE g.batch_key END NULLS LAST, d.held_order, g.due LOOP
        IF it.step = 2 THEN
            -- A debounced event that goes on may have closed it, and another may have its key by now.
            SELECT * INTO it FROM held h WHERE h.hook = p_hook AND h.step = 2 AND h.key = it.key AND h.due <= now_ms()
            FOR UPDATE SKIP LOCKED;
            CONTINUE WHEN NOT FOUND;
        END IF;
        IF is_damaged(it) THEN
            DELETE FROM held h WHERE h.hook = p_hook AND h.step = it.step AND h.key = it.key;
            damaged := damaged + 1;
            CONTINUE;
        END IF;
        IF it.step = 2 THEN
            PERFORM close_batch(p_hook, it.key, it.first);
            CONTINUE;
        END IF;
        DELETE FROM held h WHERE h.hook = p_hook AND h.step = 1 AND h.key = it.key AND h.first = it.first;
        IF it.batch_key IS NULL THEN
            PERFORM release_held(it.current);
        ELSE
            done := join_batch(it.current, p_hook, it.batch_key, it.batch_count, it.batch_ms, it.batch_max, it.batch_bytes, p_groups,
                p_why);
            batched := batched + (done & 4) / 4;
            unheld := unheld + (done & 8) / 8;
            damaged := damaged + (done & 16) / 16;
        END IF;
    END LOOP;
END $$;

-- Makes groups due that would be due more than `p_longest` ms from now, which no setting allows, and gives those that were opened in the
-- future their time from now: the clock of the server was set back. Removes damaged rows, and returns their hooks. SQLite: `repair_times`.
CREATE OR REPLACE FUNCTION repair_groups(p_longest bigint) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    now bigint := now_ms();
    it held;
BEGIN
    FOR it IN SELECT h.* FROM held h WHERE is_damaged(h) OR h.due > now + p_longest OR h.since > now + 60000
              LIMIT 10000 FOR UPDATE SKIP LOCKED LOOP
        IF is_damaged(it) THEN
            DELETE FROM held h WHERE h.hook = it.hook AND h.step = it.step AND h.key = it.key;
            RETURN NEXT it.hook;
        ELSE
            UPDATE held h SET since = least(it.since, now),
                due = CASE WHEN it.due > it.since AND it.due - it.since <= p_longest THEN least(it.due, now + it.due - it.since) ELSE now END
            WHERE h.hook = it.hook AND h.step = it.step AND h.key = it.key;
        END IF;
    END LOOP;
END $$;

-- The events of a batch that has been handled were refused: its provider sends them again, and that is no duplicate. Every identity of
-- every event is removed. SQLite: `forget_refused`.
CREATE OR REPLACE FUNCTION forget_refused(p_first bigint) RETURNS void LANGUAGE sql AS $$
    DELETE FROM dedup i WHERE i.event IN (
        SELECT d.event FROM deliveries d WHERE d.id = p_first
        UNION ALL SELECT d.event FROM deliveries d WHERE d.batch = p_first AND d.flow = 2 AND d.state = state_done())
$$;

-- The batch has been handled: so have its other events. SQLite: `finish_members`.
CREATE OR REPLACE FUNCTION finish_members(p_first bigint) RETURNS void LANGUAGE sql AS $$
    UPDATE deliveries d SET state = state_done(), due = now_ms(), ended = now_ms()
    WHERE d.batch = p_first AND d.id <> p_first AND d.state = state_waiting()
$$;

-- The other events of a batch run alone, each with all its attempts. SQLite: `free_members`.
CREATE OR REPLACE FUNCTION free_members(p_first bigint) RETURNS void LANGUAGE sql AS $$
    UPDATE deliveries d SET state = state_pending(), due = now_ms(), flow = 4, order_key = d.held_order,
        blocked = d.held_order IS NOT NULL
    WHERE d.batch = p_first AND d.id <> p_first AND d.state = state_waiting()
$$;

-- Splits the batch of a delivery that is pending again: attempts so far do not count. SQLite: `split`.
CREATE OR REPLACE FUNCTION split_batch(p_first bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE deliveries d SET flow = 4, batch_attempts = d.attempt, deferrals = 0, deferred_since = NULL, unfinished = 0
    WHERE d.id = p_first;
    PERFORM free_members(p_first);
END $$;

-- Ends the lease of a batch as if its attempt had not begun, and lets each of its events run alone. SQLite: `finish::split`.
CREATE OR REPLACE FUNCTION split_lease(p_delivery bigint, p_number integer, p_why text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE deliveries d SET state = state_pending(), attempt = d.attempt - 1, due = now_ms(), reason = p_why, owner = NULL,
        lease_until = NULL
    WHERE d.id = p_delivery AND d.state = state_running() AND d.attempt = p_number;
    IF FOUND THEN
        PERFORM split_batch(p_delivery);
    END IF;
END $$;

-- Whether a delivery carries a batch whose other events wait for its end. SQLite: `has_members`.
CREATE OR REPLACE FUNCTION has_members(p_first bigint) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT 1 FROM deliveries d WHERE d.batch = p_first AND d.id <> p_first AND d.state = state_waiting())
$$;

-- Whether nothing will ever make this waiting delivery due: no open group names it, and no batch that is pending or runs has it.
CREATE OR REPLACE FUNCTION is_stranded(p_hook text, p_delivery bigint, p_flow integer, p_debounced bigint, p_batch bigint)
RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT NOT EXISTS (SELECT 1 FROM held h WHERE h.first = CASE p_flow WHEN 1 THEN p_debounced WHEN 2 THEN p_batch END
                       AND h.step = p_flow AND h.hook = p_hook AND (p_flow = 2 OR h.current = p_delivery))
        AND NOT EXISTS (SELECT 1 FROM deliveries l WHERE l.id = p_batch AND l.id <> p_delivery AND l.batch = l.id
                        AND l.state IN (state_pending(), state_running()))
$$;

-- Makes those of these waiting deliveries due, alone, that are stranded, and returns them. Whatever puts a delivery into a group or a batch
-- locks its row. SQLite: `free_stranded`.
CREATE OR REPLACE FUNCTION free_stranded(p_deliveries bigint[], p_why text) RETURNS SETOF bigint LANGUAGE plpgsql AS $$
DECLARE
    one bigint;
BEGIN
    FOREACH one IN ARRAY p_deliveries LOOP
        PERFORM 1 FROM deliveries d WHERE d.id = one AND d.state = state_waiting() FOR UPDATE SKIP LOCKED;
        CONTINUE WHEN NOT FOUND;
        CONTINUE WHEN NOT (SELECT is_stranded(d.hook, d.id, d.flow, d.debounced, d.batch) FROM deliveries d WHERE d.id = one);
        CONTINUE WHEN NOT release_held(one);
        UPDATE deliveries d SET flow = 4, batch = NULL, reason = p_why WHERE d.id = one;
        RETURN NEXT one;
    END LOOP;
END $$;

-- The groups of a hook are no longer open, and what waits for no running batch is pending, so that a purge that is interrupted leaves
-- nothing that waits for ever. SQLite: `close_all`.
CREATE OR REPLACE FUNCTION close_all(p_hook text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM held h WHERE h.hook = p_hook;
    UPDATE deliveries d SET state = state_pending(), order_key = NULL WHERE d.hook = p_hook AND d.state = state_waiting()
        AND NOT EXISTS (SELECT 1 FROM deliveries l WHERE l.id = d.batch AND l.id <> d.id
                        AND l.state = state_running());
END $$;
