-- Recordings of attempts. `until` is ledger time; NULL: as long as the attempt. `recording` is JSON.
CREATE TABLE recordings (
    delivery bigint NOT NULL,
    number integer NOT NULL,
    hook text NOT NULL,
    until bigint,
    recording bytea NOT NULL,
    PRIMARY KEY (delivery, number),
    FOREIGN KEY (delivery, number) REFERENCES attempts ON DELETE CASCADE
);
CREATE INDEX recordings_hook ON recordings (hook, delivery, number);
CREATE INDEX recordings_until ON recordings (until) WHERE until IS NOT NULL;
