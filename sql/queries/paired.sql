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

-- name: signals_there
select signal, stage, shape, n, file, ids_file, sha256 from signal where dataset = $dataset order by signal, stage;

-- name: check_signals_have_a_dataset_and_one_source
select dataset, signal, stage from signal group by all having count(*) > 1
union all
select dataset, signal, stage from signal anti join dataset using (dataset);

-- name: check_checkpoint_blocks_are_unique
select model, stage, block from checkpoint_block group by all having count(*) > 1;

-- name: checkpoint_there
select sha256, n from checkpoint_block where model = $model and stage = $stage order by position;

-- name: checkpoint_blocks
select model, stage, block, file, shape from checkpoint_block order by model, run_id, stage, position;

-- name: paired_accuracy_by_task
-- Stage, task, items and how many are right, of the items of each task.
select p.stage, g.value as task, count(*) as n, count(*) filter (p.label = t.value) as right_ones
from prediction p
join item i using (item_id)
join (select item_id, min(value) as value from label where scheme = $tasks group by item_id) g using (item_id)
join (select item_id, min(value) as value from label where scheme = $truth group by item_id) t using (item_id)
where p.model = $model and i.dataset = $dataset group by all order by all;

-- name: paired_confusion
-- Hits, misses, false alarms and quiet ones of one label against what is true.
select count(*) filter (t.value = $positive and p.label = $positive) as tp,
       count(*) filter (t.value = $positive and p.label <> $positive) as fn,
       count(*) filter (t.value <> $positive and p.label = $positive) as fp,
       count(*) filter (t.value <> $positive and p.label <> $positive) as tn
from prediction p
join item i using (item_id)
join (select item_id, min(value) as value from label where scheme = $truth group by item_id) t using (item_id)
where p.model = $model and p.stage = $stage and i.dataset = $dataset;
