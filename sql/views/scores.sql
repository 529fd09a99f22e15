-- Every shift result, with the names of what was compared.
create or replace view scores as
select coalesce(l.dataset, r.dataset) as dataset, s.measure,
       coalesce(l.name, s.left_id) as left_name, coalesce(r.name, s.right_id) as right_name,
       s.grp, s.value, s.debiased, s.null_mean, s.null_q95, s.ci_low, s.ci_high, s.p, s.q,
       s.n_left, s.n_right, s.seed, s.note, s.what, s.how, s.left_kind, s.right_kind, s.params,
       s.seconds, u.version, u.started_at, s.run_id, s.score_id
from score s
left join subset l on s.left_kind = 'subset' and l.subset_id = try_cast(s.left_id as integer)
left join subset r on s.right_kind = 'subset' and r.subset_id = try_cast(s.right_id as integer)
left join run u on u.run_id = s.run_id
order by s.score_id;
comment on view scores is 'Every shift result: value, null, p-value, sample sizes, seed, parameters. A null value has a note.';
