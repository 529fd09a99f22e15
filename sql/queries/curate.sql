-- What curation reads and writes.

-- name: curate_pool
-- The items of a data set, or of some of its subsets, with their weight (the largest where several hold an item).
select i.item_id, i.external_id as item, coalesce(max(m.weight), 1)::double as weight
from item i left join membership m on m.item_id = i.item_id and list_contains($subset_ids, m.subset_id)
where i.dataset = $dataset and (len($subset_ids) = 0 or m.item_id is not null)
group by i.item_id, i.external_id order by i.item_id;

-- name: curate_candidates
-- The same items with all that a predicate can ask about them.
with pool as (
    select i.item_id, i.external_id as item, i.width, i.height, i.file
    from item i
    where i.dataset = $dataset and (len($subset_ids) = 0 or i.item_id in (
        select item_id from membership where list_contains($subset_ids, subset_id)))
), shown as (
    select it.item_id, list(t.name) filter (t.kind = 'object') as objects, list(t.name) filter (t.kind = 'place') as places
    from item_term it semi join pool using (item_id) join term t using (term_id) group by it.item_id
), described as (
    select o.item_id, list(distinct t.name) as attributes
    from object o semi join pool using (item_id) join object_attribute a using (object_id) join term t on t.term_id = a.term_id
    group by o.item_id
), labelled as (
    select l.item_id, map_from_entries(list((l.scheme, l.value))) as labels
    from (select item_id, scheme, min(value) as value from label semi join pool using (item_id) group by all) l group by l.item_id
)
select p.*, coalesce(s.objects, []) as objects, coalesce(s.places, []) as places,
       coalesce(d.attributes, []) as attributes, coalesce(l.labels, map {}) as labels
from pool p left join shown s using (item_id) left join described d using (item_id) left join labelled l using (item_id)
order by p.item_id;

-- name: curate_labels
-- The value that each item of the registered table `pool` has in a scheme; objects answer to the scheme 'object'.
select item_id, min(value) as value, count(distinct value) as n from (
    select l.item_id, l.value from label l semi join pool using (item_id) where l.scheme = $scheme
    union all
    select it.item_id, t.name from item_term it semi join pool using (item_id) join term t using (term_id)
    where $scheme = 'object' and t.kind = 'object'
)
group by item_id order by item_id;

-- name: curate_schemes
select distinct scheme from label l join item i using (item_id) where i.dataset = $dataset order by scheme;

-- name: curate_content
-- Order-free hash of the members of each part of the registered table `member(part, item_id, weight)`.
select part, count(*) as n,
       bit_xor(md5_number_lower(i.external_id || chr(10) || m.weight::float::varchar))::uhugeint as content
from member m join item i using (item_id) group by part order by part;

-- name: curate_same_name
-- Subsets of a data set that have one of these names already.
select s.subset_id, s.name, s.content, s.context_kind, x.recipe_id
from subset s left join selection x using (subset_id)
where s.dataset = $dataset and list_contains($names, s.name);

-- name: curate_forget_members
delete from membership where subset_id in (select subset_id from replaced);

-- name: curate_forget_scores
delete from score where (left_kind = 'subset' and left_id in (select subset_id::varchar from replaced))
                     or (right_kind = 'subset' and right_id in (select subset_id::varchar from replaced));

-- name: curate_forget_subsets
delete from subset where subset_id in (select subset_id from replaced);

-- name: curate_forget_selections
delete from selection where recipe_id in (select recipe_id from replaced);

-- name: curate_forget_selection_members
delete from selection_member where recipe_id in (select recipe_id from replaced);

-- name: curate_forget_recipes
delete from recipe where recipe_id in (select recipe_id from replaced);

-- name: curate_insert_subsets
-- One subset a part; `content(part, name, n, content)` is registered.
insert into subset
select $first_subset + row_number() over (order by part) - 1, $dataset, name, null, null, null, n, true, null, content, $run_id
from content;

-- name: curate_insert_members
insert into membership
select s.subset_id, m.item_id, m.weight
from member m join content c using (part) join subset s on s.dataset = $dataset and s.name = c.name and s.run_id = $run_id
order by s.subset_id, m.item_id;

-- name: curate_insert_selections
insert into selection
select s.subset_id, $recipe_id, c.part, $n_pool, c.n
from content c join subset s on s.dataset = $dataset and s.name = c.name and s.run_id = $run_id;

-- name: curate_insert_selection_members
insert into selection_member select $recipe_id, item_id, part, reason from fate;

-- name: curate_insert_labels
insert into label select item_id, $scheme, value from fresh;

-- name: curate_named_members
-- Members of the built subsets of a data set, by name.
select s.subset_id, s.name, s.class, i.item_id, i.external_id as item, i.file
from subset s join membership m using (subset_id) join item i using (item_id)
where s.dataset = $dataset and s.context_kind is not null order by s.name, i.external_id;

-- name: curate_distances
-- Distances in the meta-graphs of a data set, by name.
select l.name, r.name, d.spectral_distance
from subset_distance d join subset l on l.subset_id = d.left_id join subset r on r.subset_id = d.right_id
where l.dataset = $dataset and d.spectral_distance is not null;

-- name: curate_list
-- The subsets that curation made, with their recipes.
select s.dataset, s.name, r.operation, s.n, x.n_pool, r.params, r.parents, r.seed, r.version, r.run_id
from selection x join subset s using (subset_id) join recipe r using (recipe_id)
order by s.dataset, s.name;

-- name: curate_built_by
-- The run that built a subset from annotations.
select r.command as operation, r.params, r.inputs, r.seed, r.version
from subset s join run r using (run_id)
where s.subset_id = $subset_id;

-- name: curate_show
-- What an operation did with every item it chose from.
select i.external_id as item, f.part, f.reason, m.weight
from selection x
join selection_member f using (recipe_id)
join item i using (item_id)
left join membership m on m.subset_id = x.subset_id and m.item_id = f.item_id
where x.subset_id = $subset_id order by f.part nulls last, i.external_id;

-- name: curate_export
-- The members of a subset with what a trainer needs.
select i.external_id as item, i.file, m.weight from membership m join item i using (item_id)
where m.subset_id = $subset_id order by i.external_id;

-- name: check_selections_name_subsets_and_recipes
select subset_id, recipe_id from selection where subset_id not in (select subset_id from subset)
union all
select subset_id, recipe_id from selection where recipe_id not in (select recipe_id from recipe);

-- name: check_selection_members_are_conserved
-- Every item an operation chose from has one fate, and those kept are the members of its subsets.
select x.subset_id, x.n_kept, count(f.item_id) as kept
from selection x left join selection_member f on f.recipe_id = x.recipe_id and f.part = x.part
group by all having x.n_kept <> count(f.item_id);
