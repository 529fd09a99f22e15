-- Signals of items and weights of networks, by stage. Their values stay in .npy files below the vectors folder.

create table signal (
    dataset varchar not null,
    signal varchar not null,
    stage varchar not null,
    shape integer[] not null,
    n bigint not null,
    file varchar not null,
    ids_file varchar not null,
    sha256 varchar not null,
    run_id bigint not null
);
comment on table signal is 'Signals or pictures of items, to be compared by their spectra: one row for each name and stage.';
comment on column signal.signal is 'its name: target, output, waveform ...';
comment on column signal.stage is 'base unless told otherwise; signals of one name are paired by item across stages';
comment on column signal.shape is 'of one item''s signal: [length] or [height, width]';
comment on column signal.n is 'items';
comment on column signal.file is 'below the vectors folder: float32 (n, ...) .npy';
comment on column signal.ids_file is 'int64 (n,) .npy: item_id of each row, ascending';
comment on column signal.sha256 is 'of the source';

create table checkpoint_block (
    model varchar not null,
    stage varchar not null,
    position integer not null,
    block varchar not null,
    shape integer[] not null,
    n bigint not null,
    l2 double not null,
    file varchar not null,
    sha256 varchar not null,
    run_id bigint not null
);
comment on table checkpoint_block is 'Weights of networks by stage, block by block: one row for each named tensor of a checkpoint.';
comment on column checkpoint_block.model is 'name of the network whose checkpoints belong together';
comment on column checkpoint_block.stage is 'base, tuned, task1, task1_epoch2 ...';
comment on column checkpoint_block.position is 'place in the file, from 0';
comment on column checkpoint_block.block is 'name of the tensor';
comment on column checkpoint_block.n is 'weights in it';
comment on column checkpoint_block.l2 is 'their Euclidean length';
comment on column checkpoint_block.file is 'below the vectors folder: the weights as a flat float .npy, named by their content';
comment on column checkpoint_block.sha256 is 'of the source';
