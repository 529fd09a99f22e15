-- Small pictures of items, for people to look at.

create table picture_file (
    dataset varchar not null,
    file varchar not null,          -- below the catalog's pictures folder: PNG and JPEG files, one after another
    index_file varchar not null,    -- int64 (n, 2) .npy: item_id, ascending, and the byte where its picture ends
    sha256 varchar not null,        -- of the source
    n bigint not null,
    run_id bigint not null
);
comment on table picture_file is 'Small pictures of items, packed in files below the folder pictures.';
