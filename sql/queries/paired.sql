-- Labels and predictions of items, and what compares two stages of them.

-- name: paired_match
-- Rows of the registered table `given(row, item, value, prob)` with the item they are about (null: unknown).
select g.row, g.item, g.value, g.prob, i.item_id
from given g left join (from item where dataset = $dataset) i on i.external_id = g.item
order by g.row;

-- name: paired_labels_there
select count(*) as n from label l join item i using (item_id) where i.dataset = $dataset and l.scheme = $scheme;

-- name: paired_predictions_there
select count(*) as n from prediction p join item i using (item_id)
where i.dataset = $dataset and p.model = $model and p.stage = $stage;

-- name: paired_insert_labels
insert into label select item_id, $scheme, value from fresh order by item_id;

-- name: paired_insert_predictions
insert into prediction select item_id, $model, $stage, value, prob, $run_id from fresh order by item_id;

-- name: paired_batch_there
select run_id from batch where batch_key = $key;

-- name: paired_insert_batch
insert into batch values ($key, $run_id, $dataset, $source, $n);

-- name: paired_models
select p.model, p.stage, count(*) as n from prediction p join item i using (item_id)
where i.dataset = $dataset group by all order by all;

-- name: paired_predictions
-- Items that a model predicted at both stages, with a group (null: all) and what is true where a scheme says so.
select a.item_id, a.label as before, b.label as after, g.value as grp, t.value as truth
from prediction a
join prediction b on b.item_id = a.item_id and b.model = a.model and b.stage = $after
join item i on i.item_id = a.item_id
left join (select item_id, min(value) as value from label where scheme = $by group by item_id) g on g.item_id = a.item_id
left join (select item_id, min(value) as value from label where scheme = $truth group by item_id) t on t.item_id = a.item_id
where a.model = $model and a.stage = $before and i.dataset = $dataset
order by a.item_id;

-- name: paired_views
-- All predictions of a model, for agreement over its stages.
select p.item_id, p.stage, p.label from prediction p join item i using (item_id)
where p.model = $model and i.dataset = $dataset order by p.item_id, p.stage;

-- name: paired_groups
-- The value of each item in a scheme.
select l.item_id, min(l.value) as value from label l join item i using (item_id)
where i.dataset = $dataset and l.scheme = $by group by l.item_id order by l.item_id;

-- name: check_predictions_are_unique_and_refer_to_items
select item_id, model, stage from prediction group by all having count(*) > 1
union all
select item_id, model, stage from prediction where item_id not in (select item_id from item);
