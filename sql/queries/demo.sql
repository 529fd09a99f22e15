-- What the demo tells about the catalog that it has built.

-- name: farthest_scored_pair
-- The pair of a class with the largest debiased value: plain values grow as subsets get smaller.
select l.name as left_name, r.name as right_name
from score s
join subset l on s.left_kind = 'subset' and l.subset_id = try_cast(s.left_id as integer)
join subset r on s.right_kind = 'subset' and r.subset_id = try_cast(s.right_id as integer)
where s.measure = $measure and l.dataset = $dataset and l.class = $class and r.class = $class
  and s.debiased is not null and least(s.n_left, s.n_right) >= $min_items
order by s.debiased desc, left_name, right_name limit 1;

-- name: least_diverse_layer
-- The regular 3x3 layer of at least a thousand filters with the lowest variance entropy that is not zero.
select model, name, n, variance_entropy
from filter_layers
where kernel = '3x3' and kind = 'conv' and n >= 1000 and variance_entropy > 0
order by variance_entropy, model, position limit 1;

-- name: least_consistent_episode
-- The episode whose actions are least predictable from similar states of other episodes.
select episode_index, value, ci_low, ci_high, rank_low, rank_high, count(*) over () as episodes,
       coalesce(verdict, 'cannot tell')
from episode_score
where dataset = $dataset and metric = 'action_variance_loo' and value is not null
order by value desc, episode_index limit 1;
