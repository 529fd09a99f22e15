-- Filter statistics: storing models, and regrouping their sketches. No statement here touches a weight.

-- name: known_models
-- Models that are already there, by content.
select sha256, name from model where sha256 in (select unnest($hashes::varchar[]));

-- name: complete_models
-- Models that are there, and whether they have all that reading them again could bring.
select sha256, not $keep_filters or filters_file is not null
       or not exists (from conv_layer l where l.model_id = m.model_id and l.layer_id is not null)
from model m;

-- name: add_filters_file
update model set filters_file = $filters_file where sha256 = $sha256 and filters_file is null;

-- name: next_model_keys
-- First free numbers for a model and for its layers.
select (select coalesce(max(model_id), 0) + 1 from model) as model_id,
       (select coalesce(max(layer_key), 0) + 1 from conv_layer) as layer_key;

-- name: staged_models_already_there
select sha256 from memory.staged_model semi join model using (sha256);

-- name: insert_models
-- A name that is taken, here or in the catalog, gets the beginning of the model's hash behind it.
insert into model by name
select $model_id + s.ordinal as model_id,
       case when m.name is null and row_number() over (partition by s.name order by s.ordinal) = 1 then s.name
            else s.name || '#' || s.sha256[1:8] end as name,
       s.sha256, format, file, task, category, architecture, training_data, licence, source, metadata::json as metadata,
       n_skipped, filters_file, note, $run_id as run_id
from memory.staged_model s
left join (select distinct name from model) m on m.name = s.name
order by s.ordinal;

-- name: insert_conv_layers
insert into conv_layer by name
select $layer_key + place as layer_key, $model_id + ordinal as model_id, position, layer_id, name, kind, op,
       out_channels, in_channels, kh, kw, groups, stride_h, stride_w, axis_order, depth, depth_norm, depth_from, dtype,
       bn_folded, weight_hash, n, notes
from memory.staged_layer order by place;

-- name: insert_layer_sketches
insert into layer_sketch by name
select $layer_key + place as layer_key, peak, zero, sparse, sum_raw, gram_raw, sum_scaled, gram_scaled
from memory.staged_layer where peak is not null order by place;

-- name: insert_layer_histograms
-- Lists of (kh * kw * 70) counts, component by component, become rows; empty bins are left out.
insert into layer_histogram
select layer_key, bin // 70, bin % 70, n
from (select $layer_key + place as layer_key, unnest(counts) as n, generate_subscripts(counts, 1) - 1 as bin
      from memory.staged_layer where counts is not null)
where n > 0 order by layer_key, bin;

-- name: insert_layer_quality
insert into layer_quality by name
select $layer_key + place as layer_key, sparsity, variance_entropy, variance_entropy_clean, threshold,
       variance_entropy_ratio, orthogonality, "rank", label, reason
from memory.staged_layer where label is not null order by place;

-- name: insert_skipped_layers
insert into ingest_issue
select $run_id, source, 'layer not used', record, detail from memory.staged_issue;

-- name: list_models
-- One row per model: size, depth and quality of its 3x3 layers, averages weighted by filters.
select m.name as model, m.task, m.category, m.architecture, m.format,
       count(l.layer_key) as layers, count(l.layer_id) as layers_3x3,
       coalesce(sum(l.n) filter (l.layer_id is not null), 0)::bigint as filters_3x3,
       sum(q.sparsity * l.n) filter (l.layer_id is not null)
           / nullif(sum(l.n) filter (q.layer_key is not null and l.layer_id is not null), 0) as sparsity,
       sum(q.variance_entropy * l.n) filter (l.layer_id is not null)
           / nullif(sum(l.n) filter (q.layer_key is not null and l.layer_id is not null), 0) as variance_entropy,
       sum(q.orthogonality * l.out_channels) filter (l.layer_id is not null and q.orthogonality is not null)
           / nullif(sum(l.out_channels) filter (l.layer_id is not null and q.orthogonality is not null), 0)
           as orthogonality,
       count(*) filter (q.label is not null and q.label not in ('none', 'quantised') and l.layer_id is not null)
           as flagged_layers,
       m.n_skipped as skipped, m.licence, m.source, m.note
from model m
left join conv_layer l using (model_id)
left join layer_quality q using (layer_key)
group by m.model_id, m.name, m.task, m.category, m.architecture, m.format, m.n_skipped, m.licence, m.source, m.note
order by m.name;

-- name: list_layers
-- The layers with a kernel larger than 1x1, which have a quality.
from filter_layers
where sparsity is not null and ($model is null or model = $model)
  and ($kind = 'all' or ($kind = 'depthwise' and kind = 'depthwise')
       or ($kind = 'regular' and kind in ('conv', 'unknown')));

-- name: quality_of_groups
-- Quality of groups of layers (graded: rows of filter_layers with grp), as sums over sums.
select grp as "group", count(distinct model_id) as models, count(*) as layers, sum(n)::bigint as filters,
       sum(sparsity * n) / sum(n) as sparsity,
       sum(variance_entropy * n) / sum(n) as variance_entropy,
       sum(variance_entropy_ratio * n) / nullif(sum(n) filter (variance_entropy_ratio is not null), 0)
           as variance_entropy_ratio,
       sum(orthogonality * out_channels) / nullif(sum(out_channels) filter (orthogonality is not null), 0)
           as orthogonality,
       count(*) filter (variance_entropy_ratio > 1) as random_layers,
       count(*) filter (label not in ('none', 'quantised')) as flagged_layers,
       count(*) filter (bn_folded is distinct from true) as not_known_as_folded
from graded group by grp order by try_cast(grp as double) nulls last, grp;

-- name: kept_layers
-- The 3x3 layers of models, of one or of all, and the file with their filters where it was kept.
select m.name as model, l.layer_id, l.name as layer, l.out_channels, l.in_channels, l.n, m.filters_file
from conv_layer l join model m using (model_id)
where l.layer_id is not null and ($model is null or m.name = $model) order by m.name, l.layer_id;

-- name: model_layers
-- Every layer of one model.
select layer_id, name, kind, kernel, n, groups, stride_h, stride_w, depth, depth_norm, depth_from, bn_folded, dtype,
       sparsity, variance_entropy, variance_entropy_ratio, orthogonality, label, reason, notes
from filter_layers where model = $model order by position;

-- name: model_names
select name from model order by name;

-- name: sketched_layers
-- Layers that can be grouped: those of a kernel size with a sketch, ordinary or depthwise ones or all.
select l.*, s.sparse, s.sum_scaled, s.gram_scaled
from filter_layers l join layer_sketch s using (layer_key)
where l.kernel = $kernel
  and ($kind = 'all' or ($kind = 'depthwise' and l.kind = 'depthwise')
       or ($kind = 'regular' and l.kind in ('conv', 'unknown')));

-- name: histograms_of_layers
-- Histograms of chosen layers (table chosen: layer_key, place), in rows of one number a bin.
select c.place, h.component, h.bin, h.n from layer_histogram h join chosen c using (layer_key);

-- name: histograms_of_groups
-- Regrouping: histograms of any groups (table chosen: layer_key, place) as sums of sketches.
select c.place, h.component, h.bin, sum(h.n::double)::bigint as n  -- exact: counts stay below 2^53
from layer_histogram h join chosen c using (layer_key) group by all;

-- name: model_hashes
-- Hashes of the layers of each model, kernels of 1x1 too.
select m.name as model, list(l.weight_hash order by l.position) as hashes
from model m join conv_layer l using (model_id) group by all order by model;

-- name: packed_models
-- Models with their layers, sketches and quality, one row a layer: the form in which sketches are shared.
select m.name as model, m.sha256, m.format, m.file, m.task, m.category, m.architecture, m.training_data, m.licence,
       m.source, m.metadata::varchar as metadata, m.n_skipped, m.note,
       l.position, l.layer_id, l.name, l.kind, l.op, l.out_channels, l.in_channels, l.kh, l.kw, l.groups, l.stride_h,
       l.stride_w, l.axis_order, l.depth, l.depth_norm, l.depth_from, l.dtype, l.bn_folded, l.weight_hash, l.n, l.notes,
       s.peak, s.zero, s.sparse, s.sum_raw, s.gram_raw, s.sum_scaled, s.gram_scaled, h.counts,
       q.sparsity, q.variance_entropy, q.variance_entropy_clean, q.threshold, q.variance_entropy_ratio,
       q.orthogonality, q."rank", q.label, q.reason
from model m
left join conv_layer l using (model_id)
left join layer_sketch s using (layer_key)
left join layer_quality q using (layer_key)
left join (
    -- Every bin of every component gets its place in one list, empty ones as 0.
    select layer_key, list(coalesce(n, 0) order by place) as counts
    from (select layer_key, unnest(range(kh * kw * 70)) as place from conv_layer semi join layer_sketch using (layer_key))
    left join (select layer_key, component::integer * 70 + bin as place, n from layer_histogram) using (layer_key, place)
    group by layer_key
) h using (layer_key)
order by m.model_id, l.position;

-- name: check_models_are_stored_once
select sha256, count(*) || ' times' from model group by sha256 having count(*) > 1;

-- name: check_layers_are_stored_once
select layer_key, count(*) || ' times' from conv_layer group by layer_key having count(*) > 1;

-- name: check_layers_have_a_model
select layer_key, model_id from conv_layer anti join model using (model_id);

-- name: check_sketches_have_a_layer
select layer_key, 'sketch' from layer_sketch anti join conv_layer using (layer_key)
union all select distinct layer_key, 'histogram' from layer_histogram anti join conv_layer using (layer_key)
union all select layer_key, 'quality' from layer_quality anti join conv_layer using (layer_key);

-- name: check_histograms_hold_every_filter
-- Each component of a sketched layer counts each of its filters once.
select layer_key, 'component ' || component || ' counts ' || sum(h.n) || ' of ' || any_value(l.n)
from layer_histogram h join conv_layer l using (layer_key)
group by layer_key, component having sum(h.n) <> any_value(l.n);
