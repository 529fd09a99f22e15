-- Subsets and what is measured between them.

create table subset (
    subset_id integer not null,
    dataset varchar not null,
    name varchar not null,          -- class(context)
    class varchar,
    context varchar,
    context_kind varchar,           -- object, attribute or place; null for a curated subset
    n integer not null,
    kept boolean not null,          -- its class has enough subsets
    mirror_of integer,              -- cat(dog) is the mirror of dog(cat): the same items, counted once in totals
    content uhugeint not null,      -- order-free hash of the members
    run_id bigint not null
);
comment on table subset is 'Named sets of items, such as cat(sofa). The view subsets shows them with graph statistics.';

create table membership (
    subset_id integer not null,
    item_id bigint not null,
    weight float not null
);
comment on table membership is 'Members of each subset; weight 1 unless a curation operation says otherwise.';

create table subset_overlap (
    left_id integer not null,       -- left_id < right_id
    right_id integer not null,
    n_both integer not null,
    overlap double not null,        -- n_both / smaller subset
    jaccard double not null,        -- n_both / union
    edge boolean not null           -- overlap reaches the edge threshold (compared in integers, ties stay)
);
comment on table subset_overlap is 'Pairs of kept subsets of one class that share at least one item: the meta-graph.';

create table subset_distance (
    left_id integer not null,       -- left_id < right_id
    right_id integer not null,
    spectral_distance double,       -- Euclidean distance in the spectral layout of the class
    spectral_valid boolean not null,
    resistance double,              -- effective resistance; null across components
    note varchar                    -- why a value is null or not to be trusted
);
comment on table subset_distance is 'Meta-graph distances of every pair of kept subsets of one class.';

create table community (
    subset_id integer not null,
    community integer not null,     -- 0 is the largest of its class
    algorithm varchar not null,
    weighted boolean not null,
    seed bigint not null
);
comment on table community is 'Community of each kept subset in the meta-graph of its class.';

create table subset_position (
    subset_id integer not null,
    x double not null,
    y double not null
);
comment on table subset_position is 'Where a subset is drawn in the meta-graph of its class (seeded spring layout).';

create table space (
    space_id integer not null,
    dataset varchar not null,
    space varchar not null,
    stage varchar not null,         -- base unless told otherwise
    dim integer not null,
    run_id bigint not null
);
comment on table space is 'Named vector spaces of items.';

create table vector_file (
    space_id integer not null,
    file varchar not null,          -- below the catalog's vectors folder: float32 (n, dim) .npy
    ids_file varchar not null,      -- int64 (n,) .npy: item_id of each row, ascending
    sha256 varchar not null,        -- of the source
    n bigint not null,
    run_id bigint not null
);
comment on table vector_file is 'Memory-mapped shards of a vector space.';

create table score (
    score_id bigint not null,
    run_id bigint not null,
    measure varchar not null,
    what varchar not null,          -- what shifted: inputs, labels, ...
    how varchar not null,           -- ot, divergence, geometry, probe, neighbour, association
    left_kind varchar not null,     -- subset, model, operator, ...
    left_id varchar not null,
    right_kind varchar not null,
    right_id varchar not null,
    grp varchar,                    -- what was compared: the vector space, or the co-occurring objects
    params json not null,
    value double,                   -- null always has a note
    debiased double,
    null_mean double,
    null_q95 double,
    ci_low double,
    ci_high double,
    p double,
    q double,
    n_left bigint,
    n_right bigint,
    seed bigint,
    seconds double,
    note varchar
);
comment on table score is 'Every shift result of the catalog. The view scores shows names instead of ids.';
