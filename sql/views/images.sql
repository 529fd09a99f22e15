-- Which object is in which item, by name.
create or replace view presence as
select it.item_id, i.dataset, i.external_id, t.name as term, it.n, it.area
from item_term it join item i using (item_id) join term t using (term_id);
comment on view presence is 'presence(item_id, dataset, external_id, term, n, area): objects of each item, by name.';

-- Runs, newest first.
create or replace view runs as
select run_id, command, dataset, params, seed, inputs, notes, version, started_at, round(seconds, 3) as seconds
from run order by run_id desc;
comment on view runs is 'What was done to this catalog, newest first.';
