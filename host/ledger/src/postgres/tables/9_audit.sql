-- Version 9. What operators changed. `token` is the beginning of the token's digest; `detail` and `result` are JSON. An entry is stored before
-- its change; without `result` the change has not ended, or its end could not be stored.
CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at_ms bigint NOT NULL,
    role text NOT NULL,
    token text NOT NULL,
    address text,
    action text NOT NULL,
    hook text,
    detail text NOT NULL,
    result text
);

-- The newest dead letters of all hooks.
CREATE INDEX deliveries_dead_id ON deliveries (id) WHERE state = 3;
