-- Version 4. What an operator does to deliveries. Two more states: 4 resolved (it was dead), 5 discarded.

-- `replay_of`: the delivery that this one repeats. `resolved_by`: the delivery that has handled the event since. `discarded`: the
-- operator's reason.
ALTER TABLE deliveries ADD COLUMN replay_of bigint, ADD COLUMN resolved_by bigint, ADD COLUMN discarded text;
CREATE INDEX deliveries_hook ON deliveries (hook, id);
UPDATE deliveries d SET replay_of = (SELECT max(o.id) FROM deliveries o WHERE o.event = d.event AND o.id < d.id)
WHERE d.replayed;
UPDATE deliveries d SET state = 4, resolved_by = (
    SELECT min(o.id) FROM deliveries o WHERE o.event = d.event AND o.id > d.id AND o.state = 2)
WHERE d.state = 3 AND EXISTS (SELECT 1 FROM deliveries o WHERE o.event = d.event AND o.id > d.id AND o.state = 2);
