-- Subsets with their place in the meta-graph. degree counts edges within the class.
create or replace view subsets as
with degree as (
    select subset_id, count(*) as degree
    from (select left_id as subset_id from subset_overlap where edge
          union all select right_id from subset_overlap where edge)
    group by subset_id
)
select s.dataset, s.name, s.class, s.context, s.context_kind, s.n, s.kept, c.community,
       case when s.kept then coalesce(d.degree, 0) end as degree,
       m.name as mirror_of, s.subset_id
from subset s
left join community c on c.subset_id = s.subset_id
left join degree d on d.subset_id = s.subset_id
left join subset m on m.subset_id = s.mirror_of
order by s.dataset, s.class, s.context;
comment on view subsets is 'Named subsets: size, class, context, community, degree in the meta-graph, mirror.';

-- One row per unordered pair of kept subsets of a class that share an item; left_name < right_name.
create or replace view subset_pairs as
with pair as (
    select o.*, d.spectral_distance, d.spectral_valid, d.resistance, d.note, l.name > r.name as swap,
           l.dataset, l.class, l.context_kind, l.name as l_name, r.name as r_name, l.n as l_n, r.n as r_n
    from subset_overlap o
    join subset l on l.subset_id = o.left_id
    join subset r on r.subset_id = o.right_id
    left join subset_distance d on d.left_id = o.left_id and d.right_id = o.right_id
)
select dataset, class,
       if(swap, r_name, l_name) as left_name, if(swap, l_name, r_name) as right_name,
       if(swap, r_n, l_n) as n_left, if(swap, l_n, r_n) as n_right,
       n_both, overlap, jaccard, edge, spectral_distance, spectral_valid, resistance, note,
       context_kind, if(swap, right_id, left_id) as left_id, if(swap, left_id, right_id) as right_id
from pair
order by dataset, class, left_name, right_name;
comment on view subset_pairs is 'Overlaps and meta-graph distances of pairs that share an item; one row per unordered pair within a class.';

-- Meta-graph distances of every pair of a class, also of those that share nothing.
create or replace view subset_distances as
select l.dataset, l.class, l.name as left_name, r.name as right_name,
       coalesce(o.overlap, 0) as overlap, coalesce(o.jaccard, 0) as jaccard, coalesce(o.edge, false) as edge,
       d.spectral_distance, d.spectral_valid, d.resistance, d.note, l.context_kind, d.left_id, d.right_id
from subset_distance d
join subset l on l.subset_id = d.left_id
join subset r on r.subset_id = d.right_id
left join subset_overlap o on o.left_id = d.left_id and o.right_id = d.right_id
order by l.dataset, l.class, left_name, right_name;
comment on view subset_distances is 'Like subset_pairs, with the pairs that share nothing too.';
