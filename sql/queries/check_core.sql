-- Integrity of the catalog: each statement returns the rows that break its rule, so none is right.

-- name: check_items_are_unique
select dataset, external_id from item group by all having count(*) > 1
union all
select 'item_id', item_id::varchar from item group by item_id having count(*) > 1;

-- name: check_items_have_a_dataset
select item_id from item anti join dataset using (dataset);

-- name: check_terms_are_unique
select dataset, kind, name from term group by all having count(*) > 1;

-- name: check_presence_is_unique
select item_id, term_id from item_term group by all having count(*) > 1;

-- name: check_presence_refers_to_items_and_terms
select item_id, term_id from item_term where item_id not in (select item_id from item)
union all
select item_id, term_id from item_term where term_id not in (select term_id from term);

-- name: check_labels_refer_to_items
select item_id, scheme from label anti join item using (item_id);

-- name: check_batches_are_stored_once
select batch_key from batch group by all having count(*) > 1;

-- name: check_rows_name_their_run
select 'dataset' as place, run_id from dataset anti join run using (run_id)
union all
select 'subset', run_id from subset anti join run using (run_id)
union all
select 'score', run_id from score anti join run using (run_id);

-- name: check_subset_names_are_unique
select dataset, context_kind, name from subset group by all having count(*) > 1
union all
select 'subset_id', null, subset_id::varchar from subset group by subset_id having count(*) > 1;

-- name: check_subset_sizes_match_their_members
select s.name, s.n, count(m.item_id) as members
from subset s left join membership m using (subset_id) group by s.subset_id, s.name, s.n having s.n <> count(m.item_id);

-- name: check_memberships_are_unique_and_refer_to_items
select subset_id, item_id from membership group by all having count(*) > 1
union all
select subset_id, item_id from membership where subset_id not in (select subset_id from subset)
union all
select subset_id, item_id from membership where item_id not in (select item_id from item);

-- name: check_overlaps_match_the_members
-- Every stored overlap, counted again from the members.
with again as (
    select o.left_id, o.right_id, o.n_both, count(b.item_id) as counted
    from subset_overlap o
    join membership a on a.subset_id = o.left_id
    left join membership b on b.subset_id = o.right_id and b.item_id = a.item_id
    group by all
)
select left_id, right_id, n_both, counted from again where n_both <> counted;

-- name: check_pairs_are_ordered_and_unique
select left_id, right_id from subset_overlap group by all having count(*) > 1 or left_id >= right_id
union all
select left_id, right_id from subset_distance group by all having count(*) > 1 or left_id >= right_id;

-- name: check_scores_are_honest
-- A missing value says why; a probability is one.
select score_id, measure from score
where (value is null and note is null) or isnan(value) or p not between 0 and 1 or q not between 0 and 1;

-- name: check_scores_refer_to_subsets
select score_id from score s
where (left_kind = 'subset' and try_cast(left_id as integer) not in (select subset_id from subset))
   or (right_kind = 'subset' and try_cast(right_id as integer) not in (select subset_id from subset));

-- name: files_named_by_rows
-- Every file below the catalog's folders that a row stands for.
select 'vectors' as folder, file as name from vector_file
union select 'vectors', ids_file from vector_file
union select 'steps', steps_file from episode_source
union select 'filters', filters_file from model where filters_file is not null
union select 'vectors', file from signal
union select 'vectors', ids_file from signal
union select 'vectors', file from checkpoint_block
union select 'pictures', file from picture_file
union select 'pictures', index_file from picture_file;
