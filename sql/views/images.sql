-- Which object is in which item, by name.
create or replace view presence as
select it.item_id, i.dataset, i.external_id, t.name as term, it.n, it.area
from item_term it join item i using (item_id) join term t using (term_id);
comment on view presence is 'presence(item_id, dataset, external_id, term, n, area): objects of each item, by name.';

-- Items with all that a predicate can ask about them: the same columns as in curate_candidates, which looks at a pool
-- alone. Of several values of a scheme the least counts.
create or replace view items as
with shown as (
    select it.item_id, list(t.name order by it.n desc, t.name) filter (t.kind = 'object') as objects,
           list(t.name order by t.name) filter (t.kind = 'place') as places
    from item_term it join term t using (term_id) group by it.item_id
),
described as (
    select o.item_id, list_sort(list(distinct t.name)) as attributes
    from object o join object_attribute a using (object_id) join term t on t.term_id = a.term_id group by o.item_id
),
labelled as (
    select item_id, map_from_entries(list((scheme, value) order by scheme)) as labels
    from (select item_id, scheme, min(value) as value from label group by all) group by item_id
)
select i.dataset, i.external_id as item, i.width, i.height, i.file, coalesce(s.objects, []) as objects,
       coalesce(s.places, []) as places, coalesce(d.attributes, []) as attributes, coalesce(l.labels, map {}) as labels,
       i.item_id
from item i left join shown s using (item_id) left join described d using (item_id) left join labelled l using (item_id)
order by i.dataset, i.external_id;
comment on view items is 'Items with the objects, places and attributes they show (lists of names) and their labels (a map by scheme).';

-- Runs, newest first.
create or replace view runs as
select run_id, command, dataset, params, seed, inputs, notes, version, started_at, round(seconds, 3) as seconds
from run order by run_id desc;
comment on view runs is 'What was done to this catalog, newest first.';
