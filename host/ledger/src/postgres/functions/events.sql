-- Events, their identities and the JSON of rows.

-- The server's time in ms since 1970.
CREATE OR REPLACE FUNCTION now_ms() RETURNS bigint LANGUAGE sql VOLATILE AS
    'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint';

-- JSON as jsonb; NULL if jsonb cannot hold it (zero characters, numbers without bounds).
CREATE OR REPLACE FUNCTION as_jsonb(p_text text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN p_text::jsonb;
EXCEPTION WHEN others THEN
    RETURN NULL;
END $$;

-- Stores an event and its body. SQLite: `events::insert`.
CREATE OR REPLACE FUNCTION insert_event(p_id uuid, p_hook text, p_received bigint, p_head bytea, p_body bytea,
                                        p_digest bytea, p_checksum bytea, p_verify bigint, p_stored bigint)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    seq_of bigint;
BEGIN
    INSERT INTO events (id, hook, received_ms, head, body_bytes, body_digest, checksum, verify_us, stored_us)
    VALUES (p_id, p_hook, p_received, p_head, octet_length(p_body), p_digest, p_checksum, p_verify, p_stored)
    RETURNING seq INTO seq_of;
    INSERT INTO payloads (event, body) VALUES (seq_of, p_body);
    RETURN seq_of;
END $$;

-- Removes an event that no delivery and no identity names, and its body as soon as no delivery does. SQLite: `retention::drop_event`.
CREATE OR REPLACE FUNCTION drop_event(p_event bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- A replay locks the event.
    PERFORM 1 FROM events WHERE seq = p_event FOR UPDATE;
    IF NOT EXISTS (SELECT 1 FROM deliveries WHERE event = p_event) THEN
        DELETE FROM payloads WHERE event = p_event;
        DELETE FROM events WHERE seq = p_event AND NOT EXISTS (SELECT 1 FROM dedup WHERE event = p_event);
    END IF;
END $$;

-- The event with this identity that is the same delivery, or has another body. SQLite: `events::find_earlier`. `p_body_key` is the key
-- of this body under the identity; NULL if the identity alone decides. `remember`: the key to store if the new event is stored.
CREATE OR REPLACE FUNCTION find_earlier(p_hook text, p_key bytea, p_body_key bytea, p_digest bytea)
RETURNS TABLE (same boolean, seq bigint, id uuid, remember bytea) LANGUAGE plpgsql AS $$
DECLARE
    first record;
    with_body record;
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
        SELECT e.seq, e.id INTO with_body FROM dedup d JOIN events e ON e.seq = d.event
        WHERE d.hook = p_hook AND d.key = p_body_key AND d.until > now_ms();
        same := FOUND;
        IF FOUND THEN
            seq := with_body.seq;
            id := with_body.id;
        END IF;
    END IF;
    RETURN NEXT;
END $$;

-- Counts a duplicate of an event; `p_id` is the id that the request was given. SQLite: `events::count_duplicate`.
CREATE OR REPLACE FUNCTION count_duplicate(p_event bigint, p_id uuid, p_received bigint) RETURNS void LANGUAGE sql AS $$
    UPDATE events SET duplicates = duplicates + 1, last_duplicate_ms = p_received, last_duplicate = p_id WHERE seq = p_event
$$;
