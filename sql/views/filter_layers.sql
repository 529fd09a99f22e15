-- Every convolution layer with its model and quality: the columns that filters drift --by groups by.
create or replace view filter_layers as
select m.name as model, m.task, m.category, m.architecture, m.training_data, m.licence, m.source, m.format,
       l.position, l.layer_id, l.name, l.kind, l.kh || 'x' || l.kw as kernel, l.n,
       l.depth, l.depth_norm, l.depth_from,
       cast(greatest(1, ceil(round(l.depth_norm * 10, 9))) as integer) as depth_decile,
       q.sparsity, q.variance_entropy, q.variance_entropy_clean, q.threshold, q.variance_entropy_ratio,
       q.orthogonality, q."rank", q.label, q.reason,
       l.out_channels, l.in_channels, l.groups, l.stride_h, l.stride_w, l.op, l.axis_order, l.dtype, l.bn_folded,
       l.weight_hash, l.notes, m.metadata, l.model_id, l.layer_key
from conv_layer l
join model m using (model_id)
left join layer_quality q using (layer_key)
order by l.model_id, l.position;
comment on view filter_layers is 'Convolution layers of trained networks with model, depth and quality. quality columns are null for 1x1 kernels.';
