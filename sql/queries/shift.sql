-- What shift scores read and write.

-- name: pick_subsets
-- Kept subsets to compare with each other; without a class, the caller narrows them by a predicate.
select * from subsets
where (kept or $class is null) and ($class is null or class = $class) and ($dataset is null or dataset = $dataset)
order by dataset, name;

-- name: members_of_picked
-- Members of the subsets in the registered table picked(position, subset_id).
select p.position, m.item_id, m.weight
from picked p join membership m using (subset_id)
order by p.position, m.item_id;

-- name: objects_of_picked
-- Which objects, other than the classes compared, are in the items of the registered table picked(subset_id).
select distinct m.item_id, t.name as term
from picked p
join membership m using (subset_id)
join item_term it using (item_id)
join term t using (term_id)
where t.kind = 'object'
  and t.name not in (select class from subset join picked using (subset_id) where class is not null)
order by m.item_id, term;

-- name: replace_scores
-- A score that is computed again, from the same things with the same parameters, takes the place of the old one.
delete from score where exists (
    from fresh f
    where f.measure = score.measure and f.left_kind = score.left_kind and f.left_id = score.left_id
      and f.right_kind = score.right_kind and f.right_id = score.right_id
      and f.grp is not distinct from score.grp and f.seed is not distinct from score.seed and f.params = score.params
);

-- name: insert_scores
insert into score
select $first_score + row_number() over (order by position) - 1, $run_id, measure, what, how,
       left_kind, left_id, right_kind, right_id, grp, params, value, debiased, null_mean, null_q95,
       ci_low, ci_high, p, q, n_left, n_right, seed, seconds, note
from fresh;

-- name: external_ids
-- The ids in the source of the items of `wanted`, in order of item_id.
select external_id from item semi join wanted using (item_id) order by item_id;

-- name: cells_and_labels
-- Items of a subset that have one value in both schemes; objects shown answer to the scheme 'object'.
with mine as (
    select item_id from membership where subset_id = $subset_id
), said as (
    select l.item_id, l.scheme, l.value from label l semi join mine using (item_id)
    where l.scheme in ($cells, $labels) and l.scheme <> 'object'
    union all
    select it.item_id, 'object', t.name from item_term it semi join mine using (item_id) join term t using (term_id)
    where t.kind = 'object' and 'object' in ($cells, $labels)
), single as (
    select item_id, scheme, min(value) as value from said group by all having count(distinct value) = 1
)
select c.item_id, c.value as cell, l.value as label
from single c join single l using (item_id)
where c.scheme = $cells and l.scheme = $labels order by c.item_id;

-- name: schemes_there
select distinct scheme from label l join item i using (item_id) where i.dataset = $dataset order by scheme;
