-- What is remembered of each hook's candidates, as JSON. `version` grows with each change.
CREATE TABLE candidates (
    hook TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    json TEXT NOT NULL
) WITHOUT ROWID;

-- Components that must outlive their files, in parts. `name` is the digest of a component, or that of its signature. `kept`: when it was
-- stored last (ledger time).
CREATE TABLE components (
    name TEXT NOT NULL,
    part INTEGER NOT NULL,
    kept INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (name, part)
);
