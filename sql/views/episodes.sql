-- Demonstrations with their scores side by side. There is no total: review_by names the metrics that put an
-- episode among the worst, and verdict is review if any does, fine if all are, else cannot tell.
create or replace view episodes as
with wide as (
    select dataset, episode_index,
           max(value) filter (metric = 'action_variance') as action_variance,
           max(value) filter (metric = 'state_similarity') as state_similarity,
           max(value) filter (metric = 'action_variance_loo') as action_variance_loo,
           max(value) filter (metric = 'action_variance_linear') as action_variance_linear,
           max(value) filter (metric = 'transition_diversity') as transition_diversity,
           max(value) filter (metric = 'state_coverage') as state_coverage,
           max(value) filter (metric = 'mutual_information') as mutual_information,
           max(value) filter (metric = 'deminf_pca') as deminf_pca,
           max(value) filter (metric = 'multimodality') as multimodality,
           max(value) filter (metric = 'idle_fraction') as idle_fraction,
           max(value) filter (metric = 'smoothness') as smoothness,
           max(value) filter (metric = 'neighbour_distance') as neighbour_distance,
           max(value) filter (metric = 'sparse_fraction') as sparse_fraction,
           case when count(*) filter (verdict = 'review') > 0 then 'review'
                when count(verdict) > 0 and count(*) filter (verdict = 'cannot tell') = 0 then 'fine'
                when count(verdict) > 0 then 'cannot tell' end as verdict,
           list(metric order by metric) filter (verdict = 'review') as review_by
    from episode_score group by dataset, episode_index
)
select e.dataset, e.episode_index, e.src_key, e.task, e.operator, e.session, e.success, e.episode_return, e.label,
       e.length, w.verdict, coalesce(w.review_by, []) as review_by,
       w.* exclude (dataset, episode_index, verdict, review_by), e.src_file
from episode e left join wide w using (dataset, episode_index)
order by e.dataset, e.episode_index;
comment on view episodes is 'Demonstrations: task, operator, outcome, length and every score; review_by names the metrics behind a verdict.';
