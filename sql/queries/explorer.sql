-- What the pages of the explorer read. A page shows these rows as they are.

-- name: page_facts
-- How much the catalog holds.
select (select count(*) from dataset) as datasets,
       (select count(*) from item) as items,
       (select count(*) from subset where kept) as subsets,
       (select count(*) from (select distinct dataset, class from subset where kept)) as classes,
       (select count(*) from score) as scores,
       (select count(*) from model) as models,
       (select count(*) from episode) as episodes,
       (select count(*) from run) as runs;

-- name: page_datasets
-- Each data set with what was derived from it.
select d.dataset, d.kind, d.licence,
       (select count(*) from item i where i.dataset = d.dataset) as items,
       (select count(distinct class) from subset s where s.dataset = d.dataset and s.kept) as classes,
       (select count(*) from subset s where s.dataset = d.dataset and s.kept) as subsets,
       (select string_agg(distinct space, ', ' order by space) from space p where p.dataset = d.dataset) as spaces,
       r.started_at as created
from dataset d left join run r using (run_id)
order by d.dataset;

-- name: page_classes
-- Classes with kept subsets, and how many stored scores lie within each: the richest first.
with scored as (
    select l.dataset, l.class, count(*) as scores
    from score s
    join subset l on s.left_kind = 'subset' and l.subset_id = try_cast(s.left_id as integer)
    join subset r on s.right_kind = 'subset' and r.subset_id = try_cast(s.right_id as integer)
    where l.dataset = r.dataset and l.class = r.class
    group by all
)
select s.class, count(*) as subsets, min(s.n) as smallest, max(s.n) as largest, coalesce(any_value(c.scores), 0) as scores
from subset s left join scored c on c.dataset = s.dataset and c.class = s.class
where s.dataset = $dataset and s.kept and s.class is not null
group by s.class
order by scores desc, subsets desc, s.class;

-- name: page_subsets
-- The kept subsets of a class with their place in its meta-graph.
select s.name, s.context, s.context_kind, s.n, s.community, s.degree, s.mirror_of, p.x, p.y, s.subset_id, b.run_id
from subsets s join subset b using (subset_id) left join subset_position p using (subset_id)
where s.dataset = $dataset and s.class = $class and s.kept
order by s.name;

-- name: page_pairs
-- Overlap and meta-graph distances of all pairs of a class.
select left_name, right_name, overlap, jaccard, edge, spectral_distance, spectral_valid, resistance, note
from subset_distances
where dataset = $dataset and class = $class
order by left_name, right_name;

-- name: page_measures
-- Which measures are stored for pairs of a class, over which space, and for how many pairs.
select s.measure, s.grp as space, count(distinct (least(l.name, r.name), greatest(l.name, r.name))) as pairs
from score s
join subset l on s.left_kind = 'subset' and l.subset_id = try_cast(s.left_id as integer)
join subset r on s.right_kind = 'subset' and r.subset_id = try_cast(s.right_id as integer)
where l.dataset = $dataset and l.class = $class and r.dataset = $dataset and r.class = $class
group by all
order by pairs desc, s.measure, space;

-- name: page_scores
-- One score for each pair of a class: those of a matrix come before those of a single pair, then the newest. Matrices
-- have no intervals: interval_width is that of the newest score of the pair which has one.
select least(left_name, right_name) as left_name, greatest(left_name, right_name) as right_name,
       if(isfinite(value), value, null) as value,
       coalesce(note, if(isfinite(value), null, 'infinite')) as note,
       debiased, null_mean, null_q95, ci_low, ci_high, p, q,
       if(left_name < right_name, n_left, n_right) as n_left, if(left_name < right_name, n_right, n_left) as n_right,
       seed, params, run_id,
       arg_max(ci_high - ci_low, score_id) over (partition by least(left_name, right_name), greatest(left_name, right_name))
           as interval_width
from scores
where dataset = $dataset and measure = $measure and grp is not distinct from $space
  and left_name in (select name from subset where dataset = $dataset and class = $class and kept)
  and right_name in (select name from subset where dataset = $dataset and class = $class and kept)
qualify row_number() over (
    partition by least(left_name, right_name), greatest(left_name, right_name)
    order by params ->> 'design' is not null desc, score_id desc) = 1
order by left_name, right_name;

-- name: page_spaces
-- Vector spaces of a data set.
select space, stage, dim, sum(f.n)::bigint as vectors
from space join vector_file f using (space_id)
where dataset = $dataset group by all order by space, stage;

-- name: page_subset
-- One subset.
select s.*, (select string_agg(distinct i.dataset) from membership m join item i using (item_id)
             where m.subset_id = s.subset_id) as items_of
from subsets s where s.dataset = $dataset and s.name = $name
order by s.kept desc, s.context_kind limit 1;

-- name: page_subset_names
select name, n, class, kept from subset where dataset = $dataset and n > 0 order by name;

-- name: page_items
-- One page of the items of a subset, with the objects and attributes that each shows.
with shown as (
    select m.item_id, m.weight, i.external_id, i.file, i.width, i.height
    from membership m join item i using (item_id)
    where m.subset_id = $subset_id
    order by i.external_id limit $limit offset $offset
),
objects as (
    select item_id, string_agg(t.name, ', ' order by it.n desc, t.name) as objects
    from item_term it join term t using (term_id)
    where t.kind = 'object' and item_id in (select item_id from shown) group by item_id
),
attributes as (
    select o.item_id, string_agg(distinct t.name, ', ' order by t.name) as attributes
    from object o join object_attribute a using (object_id) join term t on t.term_id = a.term_id
    where o.item_id in (select item_id from shown) group by o.item_id
)
select s.external_id as item, o.objects, a.attributes, s.file, s.width, s.height, s.weight, s.item_id
from shown s left join objects o using (item_id) left join attributes a using (item_id)
order by s.external_id;

-- name: page_picture_files
-- Files with the pictures of a data set.
select file, index_file from picture_file where dataset = $dataset order by file;

-- name: page_sample_items
-- A few items of a subset, always the same, in no order that means anything.
select m.item_id, i.external_id as item
from membership m join item i using (item_id)
where m.subset_id = $subset_id order by hash(m.item_id), m.item_id limit $limit;

-- name: page_items_by_name
-- Items of a data set by their ids in the source.
select item_id, external_id as item from item where dataset = $dataset and list_contains($items, external_id);

-- name: page_shared_items
-- How many items two subsets have in common.
select count(*) as n from membership l join membership r using (item_id)
where l.subset_id = $left_id and r.subset_id = $right_id;

-- name: page_pair_scores
-- Every stored score of two subsets, the newest of each measure, space and design.
select measure, grp as space, coalesce(params ->> 'design', 'pair') as design,
       if(isfinite(value), value, null) as value, debiased, ci_low, ci_high, null_mean, null_q95, p, q,
       if(left_name = $left, n_left, n_right) as n_left, if(left_name = $left, n_right, n_left) as n_right,
       coalesce(note, if(isfinite(value), null, 'infinite')) as note, seed, seconds, params, run_id, score_id,
       cast(params -> 'null_quantiles' as double[]) as null_quantiles
from scores
where dataset = $dataset and ((left_name = $left and right_name = $right) or (left_name = $right and right_name = $left))
qualify row_number() over (partition by measure, grp, design order by score_id desc) = 1
order by design desc, measure, space;

-- name: page_pair_terms
-- Share of the items of each subset that show an object or an attribute, but those that define the subsets: the
-- largest difference first. An attribute counts where any object of the item has it.
with size as (select subset_id, n, class, context from subset where subset_id in ($left_id, $right_id)),
defining as (select unnest([class, context]) as name from size),
member as (select subset_id, item_id from membership where subset_id in ($left_id, $right_id)),
shown as (
    select subset_id, item_id, term_id from member join item_term using (item_id)
    union
    select m.subset_id, m.item_id, a.term_id
    from member m join object o using (item_id) join object_attribute a using (object_id)
),
counted as (
    select s.subset_id, t.kind, t.name, count(*) as n
    from shown s join term t using (term_id)
    where t.name not in (select name from defining where name is not null)
    group by all
),
share as (
    select kind, name as term,
           coalesce(any_value(c.n / z.n) filter (c.subset_id = $left_id), 0) as left_share,
           coalesce(any_value(c.n / z.n) filter (c.subset_id = $right_id), 0) as right_share
    from counted c join size z using (subset_id)
    group by kind, name
)
select term, kind, left_share, right_share, right_share - left_share as difference
from share order by abs(difference) desc, kind, term;

-- name: page_findings_shift
-- For each measure, the pair that differs most by a test that chance would rarely pass; a pair once.
with largest as (
    select dataset, measure, grp as space, left_name, right_name, value, ci_low, ci_high, null_mean, p, n_left, n_right
    from scores
    where p <= 0.05 and isfinite(value) and left_kind = 'subset' and right_kind = 'subset' and least(n_left, n_right) >= 10
    qualify row_number() over (partition by measure, grp order by value desc, score_id) = 1
)
from largest
qualify row_number() over (partition by left_name, right_name order by p, measure) = 1
order by p, n_left + n_right desc, measure
limit $limit;

-- name: page_findings_same
-- The two subsets of a class that are most nearly the same items (mirrors apart).
select dataset, class, left_name, right_name, n_left, n_right, n_both, overlap, jaccard
from subset_pairs
order by jaccard desc, n_both desc, left_name limit 1;

-- name: page_findings_apart
-- Connected in the meta-graph of a class, and farthest apart in it.
select dataset, class, left_name, right_name, overlap, resistance
from subset_distances
where resistance is not null
order by resistance desc, left_name limit 1;

-- name: page_runs
select run_id, command, dataset, started_at, seconds, seed, version, params, notes, inputs
from run order by run_id desc limit $limit;

-- name: page_run
-- One run, and how many rows of each kind name it.
select r.*, (select count(*) from score s where s.run_id = r.run_id) as scores,
       (select count(*) from subset s where s.run_id = r.run_id) as subsets
from run r where r.run_id = $run_id;

-- name: page_ingests
-- What brought a data set, its items first.
select run_id, command from run where dataset = $dataset and starts_with(command, 'ingest ')
order by command <> 'ingest images', run_id;

-- name: page_item
-- One item of a data set.
select item_id, external_id, width, height, file from item where dataset = $dataset and external_id = $item;

-- name: page_item_terms
-- What an item shows: objects, attributes and places, with instances and the share of the picture.
select t.kind, t.name, t.category, it.n, it.area
from item_term it join term t using (term_id) where it.item_id = $item_id
union all
select t.kind, t.name, t.category, count(*)::integer, null
from object o join object_attribute a using (object_id) join term t on t.term_id = a.term_id
where o.item_id = $item_id group by all
order by kind, n desc, name;

-- name: page_item_labels
select scheme, value from label where item_id = $item_id order by scheme, value;

-- name: page_item_subsets
-- Every kept subset that holds the item, with the run that made it.
select s.name, s.class, s.context_kind, s.n, m.weight, s.run_id
from membership m join subset s using (subset_id)
where m.item_id = $item_id and s.kept order by s.class, s.name;

-- name: page_item_names
-- A page of the items of a data set whose id starts with a text, which show an object and which a subset holds (any,
-- where the name is empty).
select i.external_id as item from item i
where i.dataset = $dataset and starts_with(i.external_id, $starts)
  and ($object = '' or i.item_id in (select it.item_id from item_term it join term t using (term_id)
                                     where t.dataset = $dataset and t.kind = 'object' and t.name = $object))
  and ($subset_id is null or i.item_id in (select item_id from membership where subset_id = $subset_id))
order by i.external_id limit $limit offset $offset;

-- name: page_count_items
select count(*) as n from item i
where i.dataset = $dataset and starts_with(i.external_id, $starts)
  and ($object = '' or i.item_id in (select it.item_id from item_term it join term t using (term_id)
                                     where t.dataset = $dataset and t.kind = 'object' and t.name = $object))
  and ($subset_id is null or i.item_id in (select item_id from membership where subset_id = $subset_id));

-- name: page_some_items
-- Items of a data set by their ids in the source, with the objects and attributes that each shows.
with shown as (
    select item_id, external_id, file from item where dataset = $dataset and external_id in (select unnest($items))
),
objects as (
    select item_id, string_agg(t.name, ', ' order by it.n desc, t.name) as objects
    from item_term it join term t using (term_id) where item_id in (select item_id from shown) group by item_id
),
attributes as (
    select o.item_id, string_agg(distinct t.name, ', ' order by t.name) as attributes
    from object o join object_attribute a using (object_id) join term t on t.term_id = a.term_id
    where o.item_id in (select item_id from shown) group by o.item_id
)
select s.external_id as item, o.objects, a.attributes, s.file, s.item_id
from shown s left join objects o using (item_id) left join attributes a using (item_id)
order by s.external_id;

-- name: page_objects
-- Objects of a data set, the most frequent first.
select t.name, count(*) as items from item_term it join term t using (term_id)
where t.dataset = $dataset and t.kind = 'object' group by t.name order by items desc, t.name;

-- name: page_layers
-- Layers of all models, or of one, with their place and quality.
select model, task, category, position, layer_id, name, kernel, n, depth_norm, sparsity, variance_entropy,
       variance_entropy_ratio, orthogonality, label, reason
from filter_layers where $model = '' or model = $model order by model, position;

-- name: page_drift
-- Stored drift between groups of filters made by one column; the newest computation.
select left_name, right_name, if(isfinite(value), value, null) as value, debiased, null_q95, n_left, n_right, note, run_id, seed
from scores
where measure = 'filter_drift' and left_kind = 'filters' and grp = $by
  and run_id = (select max(run_id) from scores where measure = 'filter_drift' and grp = $by)
order by left_name, right_name;

-- name: page_drift_groupings
select grp as by, count(*) as pairs from scores where measure = 'filter_drift' and left_kind = 'filters' group by grp order by grp;

-- name: page_episode_sets
-- Data sets of demonstrations, and whether they are scored.
select s.dataset, s.format, s.n_episodes, s.n_steps, s.state_dim, s.action_dim, s.action_kind, s.run_id,
       (select count(*) from episode_score e where e.dataset = s.dataset) as scores
from episode_source s order by s.dataset;

-- name: page_episodes
select episode_index as episode, verdict, array_to_string(review_by, ', ') as review_by,
       * exclude (dataset, episode_index, verdict, review_by, src_file)
from episodes where dataset = $dataset order by episode_index;

-- name: page_episode_metrics
-- Metrics that have a value in a data set, with the mean over its episodes.
select e.metric, count(e.value) as episodes, any_value(d.value) as mean, any_value(d.ci_low) as ci_low,
       any_value(d.ci_high) as ci_high, max(e.run_id) as run_id
from episode_score e left join dataset_score d using (dataset, metric)
where e.dataset = $dataset and e.value is not null group by e.metric order by e.metric;

-- name: page_episode_scores
-- One metric of every episode, with its interval and rank.
select episode_index as episode, value, ci_low, ci_high, rank_low, rank_high, n, verdict, note
from episode_score where dataset = $dataset and metric = $metric order by value, episode_index;

-- name: page_one_episode
-- Every metric of one episode.
select metric, value, ci_low, ci_high, rank_low, rank_high, n, verdict, note
from episode_score where dataset = $dataset and episode_index = $episode order by metric;

-- name: page_steps
select * exclude (run_id, dataset, episode_index) from step_score
where dataset = $dataset and episode_index = $episode order by frame_index;
