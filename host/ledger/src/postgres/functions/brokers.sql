-- Events that a broker delivers.

-- Starts the attempt of an event that a broker has delivered, if it may run. SQLite: `arrivals::start`.
-- kind: 0 started (`other`: an event with the same identity and another body), 1 ended (`why`: if it is dead), 2 not before `wait` ms,
-- 3 duplicate of `other`. Such deliveries stay blocked, so that only a message of the broker starts them.
CREATE OR REPLACE FUNCTION start_received(p_id uuid, p_hook text, p_received bigint, p_head bytea, p_body bytea, p_digest bytea,
                                          p_checksum bytea, p_key bytea, p_body_key bytea, p_window bigint, p_replay bytea,
                                          p_replay_window bigint, p_number integer, p_owner uuid, p_lease bigint,
                                          p_verify bigint, p_stored bigint)
RETURNS TABLE (kind integer, delivery bigint, number integer, wait bigint, why text, other uuid, deferrals integer,
               deferred_since bigint) LANGUAGE plpgsql AS $$
DECLARE
    now bigint := now_ms();
    seq_of bigint;
    latest record;
    inserted record;
BEGIN
    SELECT e.seq INTO seq_of FROM events e WHERE e.id = p_id FOR UPDATE;
    IF NOT FOUND THEN
        SELECT * INTO inserted FROM accept(p_id, p_hook, p_received, p_head, p_body, p_digest, p_checksum,
            CASE WHEN p_replay IS NULL THEN p_key END, p_body_key, p_window, NULL, 0, p_owner, p_lease, NULL, true,
            p_verify, p_stored);
        IF inserted.delivery IS NULL AND (inserted.kind <> 1 OR inserted.other = p_id) THEN
            -- Another node has just started it.
            kind := 2;
            wait := 1000;
            RETURN NEXT;
            RETURN;
        END IF;
        other := inserted.other;
        IF inserted.kind = 1 THEN
            kind := 3;
            RETURN NEXT;
            RETURN;
        END IF;
        delivery := inserted.delivery;
        number := greatest(p_number, 1);
        SELECT e.seq INTO seq_of FROM events e WHERE e.id = p_id;
    ELSE
        SELECT * INTO latest FROM deliveries d WHERE d.event = seq_of ORDER BY d.id DESC LIMIT 1 FOR UPDATE;
        IF FOUND THEN
            PERFORM check_state(latest.state, latest.id, p_id);
        END IF;
        IF latest.id IS NULL THEN
            -- It was handed over to the broker, and its identity is still stored.
            INSERT INTO payloads (event, body) VALUES (seq_of, p_body) ON CONFLICT DO NOTHING;
            SELECT * INTO inserted FROM insert_delivery(seq_of, p_hook, NULL, 0, p_replay IS NOT NULL, p_owner, p_lease);
            delivery := inserted.delivery;
            number := 1;
        ELSIF latest.state = state_pending() AND latest.due <= now THEN
            delivery := latest.id;
            number := latest.attempt + 1;
        ELSIF latest.state = state_running() AND NOT latest.blocked THEN
            -- It is being handed over, and the broker has delivered it already.
            delivery := latest.id;
            number := latest.attempt;
        ELSIF latest.state < state_done() THEN
            kind := 2;
            wait := CASE WHEN latest.state = state_pending() THEN latest.due - now ELSE greatest(latest.lease_until - now, 0) END;
            RETURN NEXT;
            RETURN;
        ELSIF p_replay IS NOT NULL AND NOT EXISTS (SELECT 1 FROM dedup d WHERE d.hook = p_hook AND d.key = p_replay) THEN
            SELECT * INTO inserted FROM insert_delivery(seq_of, p_hook, NULL, 0, true, p_owner, p_lease);
            delivery := inserted.delivery;
            number := 1;
        ELSE
            kind := 1;
            why := CASE WHEN latest.state = state_dead() THEN latest.reason END;
            RETURN NEXT;
            RETURN;
        END IF;
    END IF;
    IF p_replay IS NOT NULL THEN
        INSERT INTO dedup (hook, key, event, until) VALUES (p_hook, p_replay, seq_of, now + p_replay_window)
        ON CONFLICT DO NOTHING;
    END IF;
    UPDATE deliveries d SET state = state_running(), blocked = true, attempt = number, owner = p_owner, lease_until = now + p_lease,
        replayed = d.replayed OR p_replay IS NOT NULL WHERE d.id = delivery
        RETURNING d.deferrals, d.deferred_since INTO deferrals, deferred_since;
    kind := 0;
    RETURN NEXT;
END $$;

-- Removes leased deliveries that the broker has stored, with the events that nothing else names; their identities stay. SQLite:
-- `arrivals::hand_over`. A delivery that the broker has already redelivered is blocked, and stays.
CREATE OR REPLACE FUNCTION hand_over(p_deliveries bigint[], p_attempts integer[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    it record;
BEGIN
    -- A locked row is being started or ended by another transaction, and waiting for it could deadlock.
    FOR it IN SELECT d.id, d.event, d.hook, d.order_key, d.attempt FROM deliveries d JOIN events e ON e.seq = d.event
              JOIN unnest(p_deliveries, p_attempts) AS leased (id, attempt) ON d.id = leased.id AND d.attempt = leased.attempt
              WHERE d.state = state_running() AND NOT d.blocked ORDER BY d.id FOR UPDATE OF e, d SKIP LOCKED LOOP
        IF it.attempt > 1 THEN
            -- It has attempts: the row stays until the broker delivers the event.
            UPDATE deliveries SET state = state_pending(), blocked = true, attempt = it.attempt - 1, owner = NULL,
                lease_until = NULL WHERE id = it.id;
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

-- Releases leased deliveries that the broker has not stored, as far as is known. SQLite:
-- `arrivals::release_unpublished`.
CREATE OR REPLACE FUNCTION release_unpublished(p_deliveries bigint[], p_attempts integer[], p_pause bigint) RETURNS void LANGUAGE sql AS $$
    UPDATE deliveries d SET state = state_pending(), attempt = d.attempt - 1, due = now_ms() + p_pause, owner = NULL,
        lease_until = NULL
    FROM unnest(p_deliveries, p_attempts) AS leased (id, attempt)
    WHERE d.id = leased.id AND d.attempt = leased.attempt AND d.state = state_running() AND NOT d.blocked
$$;
