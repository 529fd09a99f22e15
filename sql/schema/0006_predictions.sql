-- What models say about items, by stage: base and tuned, clean and shifted, view by view.

create table prediction (
    item_id bigint not null,
    model varchar not null,
    stage varchar not null,
    label varchar not null,
    prob double,                    -- of the label, where the source gives one
    run_id bigint not null
);
comment on table prediction is 'Predicted labels of items, one for each model and stage.';
