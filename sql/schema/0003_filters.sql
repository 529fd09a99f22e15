-- Trained networks and the statistics of their convolution kernels.

create table model (
    model_id integer not null,
    name varchar not null,          -- given, or the file's name
    sha256 varchar not null,        -- over every file of the model: the same content is stored once
    format varchar not null,        -- onnx, torch, safetensors, keras, tflite, tfjs, npz
    file varchar not null,          -- name of the file it was read from
    task varchar,                   -- Classification, Segmentation, ...
    category varchar,               -- visual category of the training data: natural, faces, ...
    architecture varchar,
    training_data varchar,
    licence varchar,
    source varchar,                 -- where it came from, for people
    metadata json not null,         -- further columns of the metadata table
    n_skipped integer not null,     -- layers that were seen and not used (table ingest_issue)
    filters_file varchar,           -- raw 3x3 filters below the catalog's filters folder, if kept
    note varchar,
    run_id bigint not null
);
comment on table model is 'Trained networks whose weights were read. The view filter_layers joins them with their layers.';

create table conv_layer (
    layer_key bigint not null,
    model_id integer not null,
    position integer not null,      -- in the order of the file or graph, from 0
    layer_id integer,               -- counts the 3x3 layers of the model only, as CNN Filter DB does
    name varchar not null,
    kind varchar not null,          -- conv, depthwise, conv_transpose, unknown
    op varchar,                     -- the operator as the file calls it
    out_channels integer not null,
    in_channels integer not null,   -- per group
    kh integer not null,
    kw integer not null,
    groups integer,                 -- null: the file does not tell
    stride_h integer,
    stride_w integer,
    axis_order varchar not null,    -- in the file; "(assumed)" where the file does not say
    depth integer,                  -- rank of its longest path from an input among levels with a convolution
    depth_norm double,              -- depth over the largest depth of the model
    depth_from varchar not null,    -- graph, file order, unknown
    dtype varchar not null,         -- as stored
    bn_folded boolean,              -- false: a batch normalisation follows unfolded; null: unknown
    weight_hash varchar not null,   -- equal weights have equal hashes, in any format
    n bigint not null,              -- filters
    notes varchar
);
comment on table conv_layer is 'Convolution layers of the models. What a format does not say is null or unknown.';

create table layer_sketch (
    layer_key bigint not null,
    peak double not null,           -- largest absolute weight
    zero bigint not null,           -- filters of zeros
    sparse bigint[] not null,       -- sparse filters at eps .001, .003, .01, .03, .1
    sum_raw double[] not null,      -- over the filters as stored
    gram_raw double[] not null,     -- upper triangle of the Gram matrix, row by row
    sum_scaled double[] not null,   -- over the filters divided by their largest absolute weight
    gram_scaled double[] not null
);
comment on table layer_sketch is 'Sums and Gram matrices of the filters of each layer: any group is their sum.';

create table layer_histogram (
    layer_key bigint not null,
    component utinyint not null,    -- of the DCT-II basis, row by row; 0 is the mean
    bin utinyint not null,          -- of 70 over [-sqrt(kh*kw), sqrt(kh*kw)]; 35 starts at 0
    n uinteger not null
);
comment on table layer_histogram is 'Histograms of the scaled filters on the DCT-II basis; empty bins have no row.';

create table layer_quality (
    layer_key bigint not null,
    sparsity double not null,                -- share of filters below .01 of the layer's peak
    variance_entropy double not null,        -- decimal digits, 0 to log10(kh*kw)
    variance_entropy_clean double,           -- without sparse filters
    threshold double,                        -- of randomness; null below 3 filters and for other kernels
    variance_entropy_ratio double,           -- above 1: as diverse as noise
    orthogonality double,                    -- null for one output channel and for zero layers
    "rank" integer not null,
    label varchar not null,                  -- gravest finding: zero, centre-only, duplicate, ... or none
    reason varchar not null                  -- all findings in words
);
comment on table layer_quality is 'Quality of each layer with a kernel larger than 1x1, from its raw weights.';
