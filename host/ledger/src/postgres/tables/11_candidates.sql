-- Version 11. What is remembered of each hook's candidates, as JSON. `version` grows with each change.
CREATE TABLE candidates (
    hook text PRIMARY KEY,
    version bigint NOT NULL,
    json text NOT NULL
);

-- Components that must outlive their files, in parts. `name` is the digest of a component, or that of its signature. `kept`: when it was
-- stored last.
CREATE TABLE components (
    name text NOT NULL,
    part integer NOT NULL,
    kept bigint NOT NULL,
    bytes bytea NOT NULL,
    PRIMARY KEY (name, part)
);
