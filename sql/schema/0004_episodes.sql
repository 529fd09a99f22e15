-- Demonstrations for imitation learning and what is measured on them. Steps stay in Parquet files below the
-- catalog's steps folder; scores of a dataset are replaced when it is scored again.

create table episode_source (
    dataset varchar not null,
    format varchar not null,        -- lerobot, robomimic, minari or table
    robot_type varchar,
    fps double,
    action_kind varchar,            -- absolute, delta, velocity or unknown: found from the data
    state_keys varchar[] not null,
    action_keys varchar[] not null,
    state_dim integer not null,
    action_dim integer not null,
    n_episodes bigint not null,
    n_steps bigint not null,
    steps_file varchar not null,    -- below the catalog's steps folder: episode_index, frame_index, state, action
    run_id bigint not null
);
comment on table episode_source is 'What a dataset of demonstrations is made of, and the Parquet file with its steps.';

create table episode (
    dataset varchar not null,
    episode_index bigint not null,
    src_key varchar,                -- its name in the source: demo_3, 000012
    task varchar,
    operator varchar,
    session varchar,
    success boolean,
    episode_return double,
    label varchar,
    length bigint not null,         -- steps as stored in the source
    src_file varchar,
    run_id bigint not null
);
comment on table episode is 'Demonstrations: one row each. The view episodes shows them with their scores.';

create table episode_score (
    run_id bigint not null,
    dataset varchar not null,
    episode_index bigint not null,
    metric varchar not null,
    value double,                   -- null always has a note
    ci_low double,
    ci_high double,
    rank_low bigint,                -- 1 is the smallest value
    rank_high bigint,
    n bigint not null,              -- steps behind the value
    n_eff double,                   -- independent steps
    verdict varchar,                -- review, fine, cannot tell; null where neither end is bad
    note varchar
);
comment on table episode_score is 'Scores of demonstrations, one row per episode and metric, with intervals of value and rank.';

create table dataset_score (
    run_id bigint not null,
    dataset varchar not null,
    metric varchar not null,
    value double,
    ci_low double,
    ci_high double,
    n bigint not null,              -- episodes
    note varchar
);
comment on table dataset_score is 'Means over the episodes of a dataset, with intervals from a bootstrap over episodes.';

create table step_score (
    run_id bigint not null,
    dataset varchar not null,
    episode_index bigint not null,
    frame_index bigint not null,
    is_idle boolean not null,
    is_duplicate boolean not null,
    action_variance double,
    action_residual double,
    neighbour_distance double,
    is_sparse boolean,
    is_multimodal boolean,
    transition_residual double,
    mutual_information double
);
comment on table step_score is 'Scores of single steps: what the episode scores average.';

create table confound (
    run_id bigint not null,
    dataset varchar not null,
    metric varchar not null,
    against varchar not null,       -- length, idle_fraction or sparse_fraction
    spearman double,
    p double,                       -- permutation of episodes
    partial double,                 -- Spearman that remains after length
    n bigint not null,
    note varchar
);
comment on table confound is 'What a score may be measuring instead: its rank correlation with length, pauses and sparsity.';

create table group_score (
    run_id bigint not null,
    dataset varchar not null,
    scheme varchar not null,        -- operator, session, task or label
    metric varchar not null,
    grp varchar not null,
    n bigint not null,
    n_rest bigint not null,
    mean double not null,
    rest double not null,
    difference double not null,
    p double not null,              -- permutation of episodes, never of steps
    q double not null,              -- Benjamini-Hochberg over groups and metrics
    after_length double
);
comment on table group_score is 'Operators, sessions, tasks and labels, each against all other episodes of the dataset.';

create table episode_duplicate (
    run_id bigint not null,
    left_dataset varchar not null,
    left_episode bigint not null,
    right_dataset varchar not null,
    right_episode bigint not null,
    share double not null           -- of steps with a twin
);
comment on table episode_duplicate is 'Pairs of episodes that repeat each other; they do not vouch for each other in the scores.';

create table episode_selection (
    name varchar not null,
    dataset varchar not null,
    recipe json not null,           -- rule, parameters, seed, source hash: enough to make it again
    n_kept bigint not null,
    n_dropped bigint not null,
    run_id bigint not null
);
comment on table episode_selection is 'Curated choices of episodes, each with the recipe that made it.';

create table episode_selection_member (
    name varchar not null,
    dataset varchar not null,
    episode_index bigint not null,
    kept boolean not null,
    weight double not null,         -- 0 where dropped; mean 1 over the kept
    reason varchar not null
);
comment on table episode_selection_member is 'Which episodes a selection keeps and drops, and why.';
