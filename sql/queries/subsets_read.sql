-- Looking at the subset catalog.

-- name: list_subsets
select * exclude (subset_id) from subsets
where ($dataset is null or dataset = $dataset) and ($class is null or class = $class);

-- name: subset_neighbours
-- Kept subsets that share items with one subset, nearest first.
select if(left_id = $subset_id, right_name, left_name) as neighbour,
       if(left_id = $subset_id, n_right, n_left) as n, n_both, overlap, jaccard, edge,
       spectral_distance, spectral_valid, resistance, note
from subset_pairs
where left_id = $subset_id or right_id = $subset_id
order by overlap desc, neighbour;

-- name: subset_members
select i.external_id, m.weight, i.file, i.width, i.height
from membership m join item i using (item_id)
where m.subset_id = $subset_id order by i.external_id;

-- name: list_items
-- Items of a data set, of one of its subsets, or that show an object.
select * exclude (item_id) from items
where dataset = $dataset and ($shows is null or list_contains(objects, $shows))
  and ($subset_id is null or item_id in (select item_id from membership where subset_id = $subset_id));

-- name: object_names
select name from term where dataset = $dataset and kind = 'object';

-- name: class_graph
-- Every pair of kept subsets of a class.
select dataset, left_name, right_name, overlap, jaccard, edge, spectral_distance, spectral_valid, resistance, note
from subset_distances
where class = $class and ($dataset is null or dataset = $dataset) and (edge or not $edges_only)
order by dataset, overlap desc, left_name, right_name;

-- name: class_names
select distinct class as name from subset where class is not null and ($dataset is null or dataset = $dataset);

-- name: class_places
-- Where the kept subsets of a class stand in its meta-graph.
select s.dataset, s.name, s.context, s.n, s.community, p.x, p.y
from subsets s join subset_position p using (subset_id)
where s.class = $class and ($dataset is null or s.dataset = $dataset) and s.kept and p.x is not null
order by s.dataset, s.name;
