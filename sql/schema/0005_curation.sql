-- What curation made: the recipe of each operation, the subsets it made, and what happened to every item.

create table recipe (
    recipe_id bigint not null,
    operation varchar not null,     -- select, mixture, group_split ...
    dataset varchar not null,
    params json not null,           -- everything the operation was told, defaults included
    parents json not null,          -- name of each subset it read -> hash of its members
    seed bigint,
    version varchar not null,       -- ShiftLab version
    run_id bigint not null
);
comment on table recipe is 'Operations that made subsets: parameters, parents, seed; enough to make them again.';

create table selection (
    subset_id integer not null,
    recipe_id bigint not null,
    part varchar not null,          -- near, far, train, test ... or the name itself where there is one part
    n_pool bigint not null,         -- items the operation chose from
    n_kept bigint not null
);
comment on table selection is 'Subsets made by curation, with the recipe of each.';

create table selection_member (
    recipe_id bigint not null,
    item_id bigint not null,
    part varchar,                   -- null where the item was dropped
    reason varchar not null
);
comment on table selection_member is 'What an operation did with each item it chose from, and why.';
