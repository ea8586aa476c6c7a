-- The steps of a delivery: accepted, leased, ended. Columns are in tables/, states in state_column.rs.

-- Deliveries of one order key are changed one after another: a transaction that inserts or ends one holds this lock until it ends.
CREATE OR REPLACE FUNCTION lock_order(p_hook text, p_order bytea) RETURNS void LANGUAGE sql VOLATILE AS
    $$ SELECT pg_advisory_xact_lock(hashtextextended(p_hook || ' ' || encode(p_order, 'hex'), 4724)) $$;

-- Whether a delivery of an order key runs, or may run. SQLite: `deliveries::is_order_open`.
CREATE OR REPLACE FUNCTION is_order_open(p_hook text, p_order bytea) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT 1 FROM deliveries o WHERE o.hook = p_hook AND o.order_key = p_order AND o.state < state_done()
                   AND (o.state = state_running() OR NOT o.blocked))
$$;

-- Lets the next delivery of an order key run. None of the key may be open. SQLite: `deliveries::unblock_next`.
CREATE OR REPLACE FUNCTION unblock_next(p_hook text, p_order bytea) RETURNS void LANGUAGE sql AS $$
    UPDATE deliveries SET blocked = false WHERE id = (
        SELECT min(id) FROM deliveries WHERE hook = p_hook AND order_key = p_order AND state < state_done())
$$;

-- Inserts a delivery of a stored event: its number, and whether `p_owner` has its lease. SQLite: `deliveries::insert`.
CREATE OR REPLACE FUNCTION insert_delivery(p_event bigint, p_hook text, p_order bytea, p_delay bigint, p_replayed boolean,
                                           p_owner uuid, p_lease bigint) RETURNS TABLE (delivery bigint, begun boolean)
LANGUAGE plpgsql AS $$
DECLARE
    now bigint := now_ms();
    waits boolean := false;
BEGIN
    IF p_order IS NOT NULL THEN
        PERFORM lock_order(p_hook, p_order);
        waits := EXISTS (
            SELECT 1 FROM deliveries d WHERE d.hook = p_hook AND d.order_key = p_order AND d.state < state_done());
    END IF;
    begun := p_owner IS NOT NULL AND NOT waits;
    INSERT INTO deliveries (event, hook, state, due, attempt, blocked, order_key, owner, lease_until, replayed,
                            replay_of)
    VALUES (p_event, p_hook, CASE WHEN begun THEN state_running() ELSE state_pending() END, now + p_delay,
            CASE WHEN begun THEN 1 ELSE 0 END, waits, p_order, CASE WHEN begun THEN p_owner END,
            CASE WHEN begun THEN now + p_lease END, p_replayed,
            CASE WHEN p_replayed THEN (SELECT max(d.id) FROM deliveries d WHERE d.event = p_event) END)
    RETURNING id INTO delivery;
    RETURN NEXT;
END $$;

-- Inserts a delivery that is dead from the start. SQLite: `deliveries::insert_dead`.
CREATE OR REPLACE FUNCTION insert_dead(p_event bigint, p_hook text, p_why text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO deliveries (event, hook, state, due, ended, reason)
    VALUES (p_event, p_hook, state_dead(), now_ms(), now_ms(), p_why)
$$;

-- Refuses a value that is no state: nothing may be concluded from a damaged row. SQLite: `StateColumn::read`.
CREATE OR REPLACE FUNCTION check_state(p_state integer, p_delivery bigint, p_event uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF p_state NOT BETWEEN state_waiting() AND state_superseded() THEN
        RAISE EXCEPTION 'the state of delivery % is damaged: %; look at it with `landfall events show %`, and run its event again with `landfall events replay %`',
            p_delivery, p_state, p_event, p_event;
    END IF;
END $$;

-- The state of an event's latest delivery, and the ms until it is due. SQLite: `deliveries::latest`. Resolved, discarded, filtered and
-- superseded deliveries count as done. So does an event without deliveries: it was handed over to a broker. One that waits for others is
-- pending: nodes of versions before 11 know no other state, and end when they read one.
CREATE OR REPLACE FUNCTION latest(p_event bigint) RETURNS TABLE (state integer, wait bigint, reply bytea) LANGUAGE plpgsql AS $$
DECLARE
    number bigint;
BEGIN
    SELECT d.id, d.state, greatest(d.due - now_ms(), 0), d.reply INTO number, state, wait, reply
    FROM deliveries d WHERE d.event = p_event ORDER BY d.id DESC LIMIT 1;
    IF FOUND THEN
        PERFORM check_state(state, number, (SELECT e.id FROM events e WHERE e.seq = p_event));
    END IF;
    IF number IS NULL OR state > state_dead() THEN
        state := state_done();
    ELSIF state = state_waiting() THEN
        state := state_pending();
    END IF;
    RETURN NEXT;
END $$;

-- Records an attempt. SQLite: `deliveries::write_attempt`.
CREATE OR REPLACE FUNCTION write_attempt(p_delivery bigint, p_number integer, p_started bigint, p_duration bigint, p_outcome text,
                              p_reason text, p_status integer, p_record text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO attempts (delivery, number, started_ms, duration_us, outcome, reason, status, record)
    VALUES (p_delivery, p_number, p_started, p_duration, p_outcome, p_reason, p_status, p_record)
    ON CONFLICT (delivery, number) DO UPDATE SET started_ms = p_started, duration_us = p_duration, outcome = p_outcome,
        reason = p_reason, status = p_status, record = p_record
$$;

-- Stores a new event with its delivery, unless an earlier event is the same delivery. SQLite: `accept::accept`.
-- kind: 0 new, 1 duplicate of `other`, 2 new although `other` has the same identity and another body.
-- A duplicate of a dead event gives that event a new delivery; with `p_dead_runs`, the duplicate is stored and run instead.
CREATE OR REPLACE FUNCTION accept(p_id uuid, p_hook text, p_received bigint, p_head bytea, p_body bytea, p_digest bytea,
                       p_checksum bytea, p_key bytea, p_body_key bytea, p_window bigint, p_order bytea, p_delay bigint,
                       p_owner uuid, p_lease bigint, p_dead text, p_dead_runs boolean, p_verify bigint, p_stored bigint)
RETURNS TABLE (kind integer, other uuid, delivery bigint, state integer, wait bigint, reply bytea) LANGUAGE plpgsql AS $$
DECLARE
    first record;
    earlier record;
    newest record;
    is_duplicate boolean;
    seq_of bigint;
    inserted record;
BEGIN
    -- The same event again: the answer to the first call was lost.
    SELECT d.id, d.state, d.attempt, d.owner INTO first
    FROM events e JOIN deliveries d ON d.event = e.seq WHERE e.id = p_id ORDER BY d.id LIMIT 1;
    IF FOUND THEN
        kind := 0;
        delivery := CASE WHEN first.state = state_running() AND first.attempt = 1 AND first.owner = p_owner
            THEN first.id END;
        RETURN NEXT;
        RETURN;
    END IF;
    kind := 0;
    IF p_key IS NOT NULL THEN
        -- A concurrent request with the same identity waits here until this transaction ends.
        INSERT INTO dedup (hook, key, event, until) VALUES (p_hook, p_key, 0, 0) ON CONFLICT DO NOTHING;
        PERFORM 1 FROM dedup d WHERE d.hook = p_hook AND d.key = p_key FOR UPDATE;
        SELECT * INTO earlier FROM find_earlier(p_hook, p_key, p_body_key, p_digest);
        IF earlier.same THEN
            SELECT * INTO newest FROM latest(earlier.seq);
            is_duplicate := newest.state <> state_dead();
            IF NOT is_duplicate AND NOT p_dead_runs THEN
                -- If the body of the dead event is gone, this request is the only copy, and an event of its own.
                SELECT r.kind < 2 INTO is_duplicate FROM replay(earlier.id, 0) r;
            END IF;
            IF is_duplicate THEN
                PERFORM count_duplicate(earlier.seq, p_id, p_received);
                kind := 1;
                other := earlier.id;
                state := newest.state;
                wait := newest.wait;
                reply := newest.reply;
                RETURN NEXT;
                RETURN;
            END IF;
        ELSIF earlier.seq IS NOT NULL THEN
            kind := 2;
            other := earlier.id;
            UPDATE events SET conflicts = conflicts + 1, last_conflict = p_id WHERE seq = earlier.seq;
        END IF;
    END IF;
    seq_of := insert_event(p_id, p_hook, p_received, p_head, p_body, p_digest, p_checksum, p_verify, p_stored);
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
    SELECT * INTO inserted FROM insert_delivery(seq_of, p_hook, p_order, p_delay, false, p_owner, p_lease);
    IF p_key IS NOT NULL THEN
        IF earlier.same THEN
            -- The earlier delivery is dead; this one repeats it.
            UPDATE deliveries d SET replay_of = (SELECT max(o.id) FROM deliveries o WHERE o.event = earlier.seq)
            WHERE d.id = inserted.delivery;
        END IF;
    END IF;
    delivery := CASE WHEN inserted.begun THEN inserted.delivery END;
    RETURN NEXT;
END $$;

-- The earlier event that is the same delivery, and the state of its latest delivery. SQLite: `accept::find_duplicate`.
-- Counts the duplicate unless that delivery is dead.
CREATE OR REPLACE FUNCTION find_duplicate(p_hook text, p_key bytea, p_body_key bytea, p_digest bytea, p_id uuid, p_received bigint)
RETURNS TABLE (other uuid, state integer, wait bigint, reply bytea) LANGUAGE plpgsql AS $$
DECLARE
    earlier record;
    newest record;
BEGIN
    SELECT * INTO earlier FROM find_earlier(p_hook, p_key, p_body_key, p_digest);
    IF earlier.same THEN
        SELECT * INTO newest FROM latest(earlier.seq);
        IF newest.state <> state_dead() THEN
            PERFORM count_duplicate(earlier.seq, p_id, p_received);
        END IF;
        other := earlier.id;
        state := newest.state;
        wait := newest.wait;
        reply := newest.reply;
        RETURN NEXT;
    END IF;
END $$;

-- Ends a lease and records its attempt. SQLite: `finish::finish`. `p_whole`: if the delivery carries a batch, all events of that ran.
-- Returns 0 if another owner has the lease by now, 1 if the lease was ended, 2 if an earlier call ended it in the same way and its answer
-- was lost.
CREATE OR REPLACE FUNCTION finish(p_delivery bigint, p_number integer, p_state integer, p_pause bigint, p_why text, p_started bigint,
                       p_duration bigint, p_outcome text, p_reason text, p_status integer, p_record text, p_whole boolean)
RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    now bigint := now_ms();
    it record;
BEGIN
    UPDATE deliveries SET state = p_state, due = now + p_pause, reason = p_why,
        ended = CASE WHEN p_state >= state_done() THEN now END, unfinished = 0, owner = NULL, lease_until = NULL
    WHERE id = p_delivery AND state = state_running() AND attempt = p_number RETURNING hook, order_key, batch INTO it;
    IF NOT FOUND THEN
        RETURN CASE WHEN EXISTS (SELECT 1 FROM attempts a WHERE a.delivery = p_delivery AND a.number = p_number
            AND a.started_ms = p_started AND a.duration_us = p_duration AND a.outcome = p_outcome) THEN 2 ELSE 0 END;
    END IF;
    PERFORM write_attempt(p_delivery, p_number, p_started, p_duration, p_outcome, p_reason, p_status, p_record);
    IF p_state = state_done() AND p_whole AND it.batch = p_delivery THEN
        PERFORM finish_members(p_delivery);
    ELSIF p_state >= state_done() AND it.batch = p_delivery THEN
        PERFORM free_members(p_delivery);
    END IF;
    IF p_state >= state_done() AND it.order_key IS NOT NULL THEN
        PERFORM lock_order(it.hook, it.order_key);
        PERFORM unblock_next(it.hook, it.order_key);
    END IF;
    RETURN 1;
END $$;

-- As above, for nodes of versions before 11. They know no batches: only the event of the delivery itself ran.
CREATE OR REPLACE FUNCTION finish(p_delivery bigint, p_number integer, p_state integer, p_pause bigint, p_why text, p_started bigint,
                       p_duration bigint, p_outcome text, p_reason text, p_status integer, p_record text)
RETURNS integer LANGUAGE sql VOLATILE AS $$
    SELECT finish(p_delivery, p_number, p_state, p_pause, p_why, p_started, p_duration, p_outcome, p_reason, p_status, p_record, false)
$$;

-- Ends leases that have expired. SQLite: `leases::recover`. An attempt that another process did not finish counts; after `p_max`
-- of them in a row the delivery is dead.
CREATE OR REPLACE FUNCTION recover(p_owner uuid, p_max integer) RETURNS TABLE (freed integer, given_up integer) LANGUAGE plpgsql AS $$
DECLARE
    now bigint := now_ms();
    it record;
BEGIN
    freed := 0;
    given_up := 0;
    FOR it IN SELECT * FROM deliveries WHERE state = state_running() AND lease_until < now
              ORDER BY id LIMIT 1000 FOR UPDATE SKIP LOCKED LOOP
        freed := freed + 1;
        -- If this process still runs and has only lost the lease, the event did not end the process.
        it.unfinished := it.unfinished + CASE WHEN it.owner IS DISTINCT FROM p_owner THEN 1 ELSE 0 END;
        PERFORM write_attempt(it.id, it.attempt, 0, 0, 'unfinished', 'the process ended, or lost the lease, while it ran',
            NULL, '{}');
        IF it.unfinished >= p_max AND NOT has_members(it.id) THEN
            given_up := given_up + 1;
            UPDATE deliveries SET state = state_dead(), due = now, unfinished = it.unfinished, reason = 'crashed-host',
                ended = now, owner = NULL, lease_until = NULL WHERE id = it.id;
            IF it.order_key IS NOT NULL THEN
                PERFORM lock_order(it.hook, it.order_key);
                PERFORM unblock_next(it.hook, it.order_key);
            END IF;
        ELSE
            UPDATE deliveries SET state = state_pending(), due = now, unfinished = it.unfinished, reason = NULL,
                owner = NULL, lease_until = NULL WHERE id = it.id;
            IF it.unfinished >= p_max THEN
                -- One event of the batch may be at fault: each runs alone.
                PERFORM split_batch(it.id);
            END IF;
        END IF;
    END LOOP;
    RETURN NEXT;
END $$;

-- Stores an event whose handler has answered already. Failed, it is dead, but no dead letter: its caller knows. SQLite: `finish::record`.
CREATE OR REPLACE FUNCTION record_event(p_id uuid, p_hook text, p_received bigint, p_head bytea, p_body bytea, p_digest bytea,
                       p_checksum bytea, p_state integer, p_why text, p_started bigint, p_duration bigint, p_outcome text,
                       p_reason text, p_status integer, p_record text, p_verify bigint, p_stored bigint)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    inserted bigint;
BEGIN
    INSERT INTO deliveries (event, hook, state, due, attempt, ended, reason, answered)
    VALUES (insert_event(p_id, p_hook, p_received, p_head, p_body, p_digest, p_checksum, p_verify, p_stored), p_hook, p_state,
            now_ms(), 1, now_ms(), p_why, true) RETURNING id INTO inserted;
    PERFORM write_attempt(inserted, 1, p_started, p_duration, p_outcome, p_reason, p_status, p_record);
    RETURN inserted;
END $$;
