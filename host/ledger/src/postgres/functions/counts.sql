-- How many deliveries each hook has.

-- Counts a delivery that is inserted or removed, in the same transaction. It runs as the owner of the tables, because nodes of versions
-- before 11 may have no right on `delivery_counts`.
CREATE OR REPLACE FUNCTION count_deliveries() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        -- A total that a transaction is making would stay.
        LOCK TABLE landfall.delivery_counts IN SHARE ROW EXCLUSIVE MODE;
        DELETE FROM landfall.delivery_counts;
        RETURN NULL;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO landfall.delivery_counts (hook, deliveries) VALUES (OLD.hook, -1);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO landfall.delivery_counts (hook, deliveries) VALUES (NEW.hook, 1);
    END IF;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER deliveries_counted AFTER INSERT OR DELETE OR UPDATE OF hook ON deliveries FOR EACH ROW
EXECUTE FUNCTION count_deliveries();
CREATE OR REPLACE TRIGGER deliveries_emptied AFTER TRUNCATE ON deliveries FOR EACH STATEMENT
EXECUTE FUNCTION count_deliveries();

-- Makes one row of all rows of each hook, among the first `p_most` rows, if at least `p_least` rows go. Returns how many it has read. One
-- node does so at a time; the rows of transactions that have not ended stay.
CREATE OR REPLACE FUNCTION roll_up_counts(p_least integer, p_most integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    rolled_up integer;
    surplus integer;
BEGIN
    IF NOT pg_try_advisory_xact_lock(4724, 2) THEN
        RETURN 0;
    END IF;
    SELECT count(*) - count(DISTINCT c.hook) INTO surplus FROM (SELECT hook FROM delivery_counts LIMIT p_most) c;
    IF surplus < p_least THEN
        RETURN 0;
    END IF;
    WITH gone AS (
        DELETE FROM delivery_counts WHERE ctid = ANY (ARRAY(SELECT ctid FROM delivery_counts LIMIT p_most))
        RETURNING hook, deliveries),
    total AS (
        INSERT INTO delivery_counts (hook, deliveries)
        SELECT g.hook, sum(g.deliveries) FROM gone g GROUP BY g.hook HAVING sum(g.deliveries) <> 0)
    SELECT count(*) INTO rolled_up FROM gone;
    RETURN rolled_up;
END $$;
