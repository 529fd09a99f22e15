-- What every catalog has: where its rows came from, and the items of its datasets.
-- No primary keys or unique indexes: uniqueness is kept by anti-joins in the writing transaction and
-- asserted by `shiftlab check`; on tables that grow, indexes cost four times the time and six the space.

create table catalog_info (
    generation bigint not null,     -- rises by one with every commit: the cache key of the explorer
    views_sha256 varchar,           -- of the view definitions in force
    created_by varchar not null,    -- ShiftLab version
    created_at timestamp not null
);
comment on table catalog_info is 'One row about the catalog itself; generation rises with every commit.';

create table run (
    run_id bigint not null,
    command varchar not null,       -- ingest images, subsets build, shift ...
    dataset varchar,
    params json not null,
    seed bigint,
    inputs json not null,           -- name -> sha256 of what was read
    notes json not null,            -- counts of what was flagged or skipped, warnings
    version varchar not null,       -- ShiftLab version
    started_at timestamp not null,  -- UTC
    seconds double not null
);
comment on table run is 'One command''s work: parameters, input hashes, seed, version, duration. Every derived row names its run.';

create table batch (
    batch_key varchar not null,     -- hash of content and parameters: done once, never twice
    run_id bigint not null,
    dataset varchar not null,
    source varchar not null,
    n_rows bigint not null
);
comment on table batch is 'Ledger of finished units of ingest; written in the same transaction as their rows.';

create table ingest_issue (
    run_id bigint not null,
    source varchar not null,
    problem varchar not null,       -- a short fixed name, to count by
    record varchar not null,        -- which image, object or row
    detail varchar
);
comment on table ingest_issue is 'Records that an ingest flagged or, when told to, skipped.';

create table dataset (
    dataset varchar not null,       -- its name
    kind varchar not null,          -- images, models or episodes
    licence varchar,
    source varchar,                 -- where it came from, for people
    version varchar,                -- hash over its inputs
    run_id bigint not null          -- the run that created it
);
comment on table dataset is 'What was ingested together.';

create table item (
    item_id bigint not null,
    dataset varchar not null,
    external_id varchar not null,   -- the id in the source, always text
    width integer,                  -- pixels
    height integer,
    file varchar                    -- file name, where the source gives one
);
comment on table item is 'The unit of a dataset: an image, a text, anything a subset can contain.';

create table label (
    item_id bigint not null,
    scheme varchar not null,        -- split, location, weather, ...
    value varchar not null
);
comment on table label is 'One value per item and scheme: split, location, weather and other columns of the source.';

create table term (
    term_id integer not null,
    dataset varchar not null,
    kind varchar not null,          -- object, attribute or place
    name varchar not null,
    category varchar                -- supercategory of an object, type of an attribute (color, pose, ...)
);
comment on table term is 'Words of a dataset: names of objects, attributes and places.';

create table item_term (
    item_id bigint not null,
    term_id integer not null,
    n integer not null,             -- instances of it in the item
    area double                     -- boxes clipped to the image, summed, as a share of the image, at most 1
);
comment on table item_term is 'Which object is in which item: one row per item and object name. The view presence shows it with names.';

create table object (
    object_id bigint not null,
    item_id bigint not null,
    term_id integer not null,
    external_id varchar,
    x double, y double, w double, h double,   -- pixels, top left corner and size
    crowd boolean
);
comment on table object is 'Annotated instances with their boxes, where the source has instances.';

create table object_attribute (
    object_id bigint not null,
    term_id integer not null
);
comment on table object_attribute is 'Attributes of an instance (term.kind = attribute).';

create table relation (
    item_id bigint not null,
    subject_id bigint not null,     -- object.object_id
    predicate varchar not null,
    object_id bigint not null
);
comment on table relation is 'Scene-graph relations between two instances of one item.';
