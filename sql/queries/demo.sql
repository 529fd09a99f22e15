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

-- name: farthest_connected_pair
-- The pair that is farthest apart in the meta-graph of a class.
select left_name, right_name, resistance, overlap
from subset_distances
where dataset = $dataset and class = $class and resistance is not null
order by resistance desc, left_name, right_name limit 1;
