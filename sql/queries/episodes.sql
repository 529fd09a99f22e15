-- Demonstrations: storing them, their scores and selections.

-- name: episode_source
-- What is stored of one dataset.
select * from episode_source where dataset = $dataset;

-- name: episode_sources
select dataset, format, robot_type, fps, action_kind, state_dim, action_dim, n_episodes, n_steps from episode_source
order by dataset;

-- name: step_files
-- Where the steps of each dataset are, below the catalog's folder steps.
select dataset, steps_file from episode_source order by dataset;

-- name: no_steps
-- The columns of the view step. The steps of each dataset are added from its Parquet file; widths of states and
-- actions differ between datasets, so these are lists.
select null::varchar as dataset, null::bigint as episode_index, null::bigint as frame_index,
       null::double as timestamp, null::float[] as state, null::float[] as action where false;

-- name: comment_on_step
comment on view step is 'Steps of demonstrations, from the Parquet files of the folder steps: state and action as lists. Scores of steps: step_score.';

-- name: transitions
-- Each step of an episode but its last, with the state that follows it.
select dataset, episode_index, frame_index, state, action,
       lead(state) over (partition by dataset, episode_index order by frame_index) as next_state
from step qualify next_state is not null;

-- name: comment_on_transition
comment on view transition is 'Transitions of demonstrations: state, action and the next state of the same episode.';

-- name: insert_episode_source
insert into episode_source by name select *, $run_id as run_id from staged_source;

-- name: insert_episodes
insert into episode by name select *, $run_id as run_id from staged_episodes;

-- name: insert_episode_issues
insert into ingest_issue select $run_id, $source, problem, record, detail from staged_issues;

-- name: forget_episode_scores
-- Scores of the datasets that are being scored again.
delete from episode_score where dataset in (select unnest($datasets::varchar[]));

-- name: forget_dataset_scores
delete from dataset_score where dataset in (select unnest($datasets::varchar[]));

-- name: forget_step_scores
delete from step_score where dataset in (select unnest($datasets::varchar[]));

-- name: forget_confounds
delete from confound where dataset in (select unnest($datasets::varchar[]));

-- name: forget_group_scores
delete from group_score where dataset in (select unnest($datasets::varchar[]));

-- name: forget_episode_duplicates
delete from episode_duplicate
where left_dataset in (select unnest($datasets::varchar[])) or right_dataset in (select unnest($datasets::varchar[]));

-- name: insert_episode_scores
insert into episode_score by name select *, $run_id as run_id from staged;

-- name: insert_dataset_scores
insert into dataset_score by name select *, $run_id as run_id from staged;

-- name: insert_step_scores
insert into step_score by name select *, $run_id as run_id from staged;

-- name: insert_confounds
insert into confound by name select *, $run_id as run_id from staged;

-- name: insert_group_scores
insert into group_score by name select *, $run_id as run_id from staged;

-- name: insert_episode_duplicates
insert into episode_duplicate by name select *, $run_id as run_id from staged;

-- name: set_action_kind
update episode_source set action_kind = $kind where dataset in (select unnest($datasets::varchar[]));

-- name: list_episodes
select * from episodes where dataset = $dataset;

-- name: episode_scores
select dataset, episode_index, metric, value, ci_low, ci_high, rank_low, rank_high, n, n_eff, verdict, note
from episode_score where dataset = $dataset order by episode_index, metric;

-- name: dataset_scores
select dataset, metric, value, ci_low, ci_high, n, note from dataset_score where dataset = $dataset order by metric;

-- name: step_scores
-- What is measured at each step of a dataset.
select episode_index, frame_index, is_idle, action_variance, action_residual, neighbour_distance, transition_residual,
       mutual_information
from step_score where dataset = $dataset;

-- name: traces
-- One episode beside up to 100 others, a row for each dimension and frame: its value, and at the same share of the way
-- the 10, 50 and 90 % quantiles of the others. Only the dimensions in which it departs most from their median, in units
-- of that range; rank 1 departs most. Null quantiles: no other episode.
with lengths as (
    select episode_index, min(frame_index) as first, greatest(max(frame_index) - min(frame_index), 1) as span
    from step where dataset = $dataset group by episode_index
),
chosen as (
    select episode_index from lengths where episode_index <> $episode order by hash(episode_index), episode_index limit 100
),
placed as (
    select episode_index, frame_index, floor((frame_index - first) / span * 39)::integer as place,
           unnest(if($side = 'actions', action, state)) as value,
           generate_subscripts(if($side = 'actions', action, state), 1) as dimension
    from step join lengths using (episode_index)
    where dataset = $dataset and (episode_index = $episode or episode_index in (from chosen))
),
band as (
    select dimension, place, quantile_cont(value, [0.1, 0.5, 0.9]) as q
    from placed where episode_index <> $episode and isfinite(value) group by dimension, place
),
own as (
    select dimension, frame_index, if(isfinite(value), value, null) as value, q[1] as low, q[2] as middle, q[3] as high
    from placed left join band using (dimension, place) where episode_index = $episode
),
departing as (
    select dimension, avg(abs(value - middle)) / nullif(avg(high - low), 0) as departure
    from own group by dimension having max(value) > min(value) or max(high) > min(low)
)
select dense_rank() over (order by departure desc nulls last, dimension) as "rank", dimension, departure,
       frame_index, value, low, middle, high
from own join (select * from departing order by departure desc nulls last, dimension limit $most) using (dimension)
order by departure desc nulls last, dimension, frame_index;

-- name: confounds
select dataset, metric, against, spearman, p, partial, n, note from confound where dataset = $dataset
order by metric, against;

-- name: group_scores
select dataset, scheme, metric, grp, n, n_rest, mean, ci_low, ci_high, rest, difference, p, q, after_length
from group_score where dataset = $dataset order by q, metric, grp;

-- name: shifts_between_groups
-- Stored shift between groups of the episodes of a dataset, or between the dataset and others.
select s.left_id as left_name, s.right_id as right_name, s.grp as side, s.measure, s.value, s.null_q95, s.p, s.n_left,
       s.n_right, s.seed, s.note, s.run_id
from score s join run r using (run_id)
where s.left_kind = $scheme and (r.dataset = $dataset or (s.left_kind = 'dataset' and $dataset in (s.left_id, s.right_id)))
order by s.p, s.value desc;

-- name: episode_duplicates
select left_dataset, left_episode, right_dataset, right_episode, share from episode_duplicate
where left_dataset = $dataset or right_dataset = $dataset order by all;

-- name: episode_issues
-- What the ingest of a dataset found to be wrong with it.
select i.problem, i.record, i.detail from ingest_issue i join episode_source s using (run_id)
where s.dataset = $dataset order by all;

-- name: scoring_run
-- How a dataset was last scored.
select params, seed, version, started_at, seconds from run
where run_id = (select max(run_id) from episode_score where dataset = $dataset);

-- name: forget_selection
delete from episode_selection where name = $name and dataset = $dataset;

-- name: forget_selection_members
delete from episode_selection_member where name = $name and dataset = $dataset;

-- name: insert_selection
insert into episode_selection values ($name, $dataset, $recipe, $n_kept, $n_dropped, $run_id);

-- name: insert_selection_members
insert into episode_selection_member by name select *, $name as name, $dataset as dataset from staged;

-- name: find_selection
select name, dataset, recipe, n_kept, n_dropped from episode_selection
where name = $name and ($dataset is null or dataset = $dataset) order by dataset;

-- name: selections
-- The selections of one dataset, the newest first, with the rule of each.
select name, n_kept, n_dropped, recipe ->> '$.rule.keep' as keep, recipe ->> '$.rule.by' as "by",
       recipe ->> '$.rule.where' as "where", recipe ->> '$.rule.weight_by' as weight_by, run_id
from episode_selection where dataset = $dataset order by run_id desc, name;

-- name: dataset_weights
-- Every dataset with a selection of this name: its share of the steps that are kept in all of them, by their weight.
select dataset, count(*) filter (m.kept) as n_kept, count(*) as n_episodes,
       sum(e.length * m.weight) as steps, sum(e.length * m.weight) / sum(sum(e.length * m.weight)) over () as weight
from episode_selection_member m join episode e using (dataset, episode_index)
where m.name = $name group by dataset order by dataset;

-- name: selection_members
select m.episode_index, e.src_key, m.kept, m.weight, m.reason
from episode_selection_member m join episode e using (dataset, episode_index)
where m.name = $name and m.dataset = $dataset order by m.episode_index;

-- name: check_episodes_are_unique
select dataset, episode_index from episode group by all having count(*) > 1;

-- name: check_episode_scores_are_unique
select dataset, episode_index, metric from episode_score group by all having count(*) > 1;

-- name: check_episode_scores_without_a_value_say_why
select dataset, episode_index, metric from episode_score where value is null and note is null;

-- name: check_episode_scores_refer_to_episodes
select s.dataset, s.episode_index from episode_score s anti join episode e using (dataset, episode_index);

-- name: check_episode_sources_count_their_episodes
select s.dataset, s.n_episodes, count(e.episode_index)
from episode_source s left join episode e using (dataset) group by all having s.n_episodes <> count(e.episode_index);

-- name: check_selections_count_their_members
select s.name, s.dataset from episode_selection s left join episode_selection_member m using (name, dataset)
group by s.name, s.dataset, s.n_kept having s.n_kept <> count(*) filter (m.kept);
