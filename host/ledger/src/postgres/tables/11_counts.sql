-- Version 11. The number of deliveries of each hook is the sum of its rows here. What inserts or removes a delivery adds a row, because
-- nodes would wait for each other at one row for each hook; `roll_up_counts` makes one row of many. With it and the indexes of what is not
-- done, deliveries are counted by state without a look at those that are done. The lock keeps nodes of older versions from adding
-- deliveries until the trigger of functions/counts.sql counts them. Rows have an `id`, and `version` has a replica identity, because a
-- publication FOR ALL TABLES refuses changes of tables without one.
LOCK TABLE deliveries IN SHARE ROW EXCLUSIVE MODE;
CREATE TABLE delivery_counts (
    hook text NOT NULL,
    deliveries bigint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY
);
ALTER TABLE version REPLICA IDENTITY FULL;
INSERT INTO delivery_counts (hook, deliveries) SELECT hook, count(*) FROM deliveries GROUP BY hook;
CREATE INDEX deliveries_failed ON deliveries (hook, state) WHERE state > 2;
CREATE INDEX deliveries_brokered ON deliveries (hook) WHERE state = 0 AND blocked AND order_key IS NULL;
