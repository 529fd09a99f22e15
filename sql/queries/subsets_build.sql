-- Subsets class(context) of one dataset: candidates, members, overlaps. Runs in a workspace; the first
-- three statements read the catalog (attached as catalog) and copy what the rest works on.

-- name: load_presence
-- Which object name is in which item, with integer keys, in the order of items.
create table presence as
select it.item_id, it.term_id
from catalog.item_term it join catalog.term t using (term_id)
where t.dataset = $dataset
order by it.item_id, it.term_id;

-- name: load_names
create table name as
select term_id, name from catalog.term where dataset = $dataset and kind = 'object';

-- name: load_item_keys
-- A number per item that depends on its id alone: the members' exclusive or names a subset's content. In the
-- digest's number the half that DuckDB calls lower is the high one.
create table item_key as
select item_id, md5_number_lower(external_id) as high, md5_number_upper(external_id) as low
from catalog.item where dataset = $dataset;

-- name: load_attribute_pairs
-- Attributes as contexts (MetaShift, attribute subsets): an object counts if its name occurs once in the
-- image and its box spans at least `min_side` of the width or of the height; where the source gives no boxes
-- or no image size, the size is not asked for. Integer comparison, since exactly 0.2 counts.
create table pair as
with single as (
    select item_id, term_id from catalog.item_term where n = 1
)
select distinct o.item_id, s.name as class, a.name as context
from catalog.object o
join single using (item_id, term_id)
join catalog.item i on i.item_id = o.item_id
join catalog.object_attribute oa on oa.object_id = o.object_id
join catalog.term s on s.term_id = o.term_id
join catalog.term a on a.term_id = oa.term_id
where i.dataset = $dataset
  and (o.w is null or i.width is null
       or o.w * $side_denominator >= i.width * $side_numerator
       or o.h * $side_denominator >= i.height * $side_numerator)
order by o.item_id;

-- name: load_place_pairs
-- Where an image was taken, and the weather, as contexts.
create table pair as
select distinct it.item_id, t.name as class, l.value as context
from catalog.item_term it
join catalog.term t on t.term_id = it.term_id
join catalog.label l on l.item_id = it.item_id
where t.dataset = $dataset and l.scheme in ('location', 'place', 'room', 'scene', 'weather')
order by it.item_id;

-- name: load_relation_evidence
-- Pair filter: keep class(context) where relations from the class to the context occur often enough.
create table allowed as
select s.name || '(' || o.name || ')' as name
from catalog.relation r
join catalog.object so on so.object_id = r.subject_id
join catalog.object oo on oo.object_id = r.object_id
join catalog.term s on s.term_id = so.term_id
join catalog.term o on o.term_id = oo.term_id
where s.dataset = $dataset
group by s.name, o.name having count(*) >= $min_count;

-- Counting. Each statement looks at images of its own and the results are sums, so the same statements run over
-- the whole dataset or over shards of its images, cut between images (subsets_merge.sql adds up the parts).

-- name: pair_object_names
-- Objects as contexts: every ordered pair of names in an image, by presence.
create table pair_count as
select a.term_id as class, b.term_id as context, count(*) as n
from presence a join presence b on a.item_id = b.item_id and a.term_id <> b.term_id
group by all;

-- name: pair_names
-- Attributes or places as contexts.
create table pair_count as select class, context, count(*) as n from pair group by all;

-- name: object_candidates
-- The pairs in enough images. kept: the class has enough subsets.
create table candidate as
select row_number() over (order by s.name, c.name)::integer as subset_no,
       s.name as class, c.name as context, s.name || '(' || c.name || ')' as name,
       p.class as class_id, p.context as context_id, p.n::integer as n,
       dense_rank() over (order by s.name)::integer as class_no,
       count(*) over (partition by s.name) >= $min_subsets as kept
from pair_count p
join name s on s.term_id = p.class
join name c on c.term_id = p.context
where p.n >= $min_images and (not $filtered or s.name || '(' || c.name || ')' in (from allowed));

-- name: candidates
create table candidate as
select row_number() over (order by class, context)::integer as subset_no, class, context,
       class || '(' || context || ')' as name, class as class_id, context as context_id, n::integer as n,
       dense_rank() over (order by class)::integer as class_no,
       count(*) over (partition by class) >= $min_subsets as kept
from pair_count
where n >= $min_images and (not $filtered or class || '(' || context || ')' in (from allowed));

-- name: object_members
create table member as
select k.subset_no, a.item_id
from presence a
join presence b on a.item_id = b.item_id and a.term_id <> b.term_id
join candidate k on k.class_id = a.term_id and k.context_id = b.term_id;

-- name: members
create table member as
select k.subset_no, p.item_id from pair p join candidate k on k.class_id = p.class and k.context_id = p.context;

-- name: subset_contents
-- One number a subset that depends on its members alone, in two halves, which Parquet can hold.
create table content as
select subset_no, bit_xor(high) as high, bit_xor(low) as low
from member join item_key using (item_id) group by subset_no;

-- name: count_shared
-- How many items two kept subsets of one class share.
create table shared as
with kept as (
    select m.subset_no, k.class_no, m.item_id from candidate k join member m using (subset_no) where k.kept
)
select a.subset_no as left_no, b.subset_no as right_no, count(*)::integer as n_both
from kept a join kept b on a.class_no = b.class_no and a.item_id = b.item_id and a.subset_no < b.subset_no
group by all;

-- name: subset_rows
-- mirror_no: the subset with class and context exchanged, on the later of the two, so that rows without one
-- count every set of items once.
create table subset_row as
select c.* exclude (class_id, context_id), m.subset_no as mirror_no,
       t.high::uhugeint * 18446744073709551616 + t.low as content
from candidate c
join content t using (subset_no)
left join candidate m on $mirrors and m.class = c.context and m.context = c.class and m.subset_no < c.subset_no;

-- name: overlaps
-- Pairs of kept subsets of one class that share items. The edge is decided in integers: ties stay.
create table overlap as
select left_no, right_no, n_both,
       n_both / least(l.n, r.n) as overlap,
       n_both / (l.n + r.n - n_both) as jaccard,
       n_both * $edge_denominator >= least(l.n, r.n) * $edge_numerator as edge
from shared
join candidate l on l.subset_no = left_no
join candidate r on r.subset_no = right_no;

-- The statements below run in the transaction of the catalog; the workspace is `memory`.

-- name: match_subsets
-- Keys: a subset with the same name and the same members keeps its id, and with it its scores.
create temp table key as
select r.subset_no,
       coalesce(s.subset_id,
                $first_subset + row_number() over (partition by s.subset_id is null order by r.subset_no) - 1)::integer
           as subset_id,
       s.subset_id is null as is_new
from memory.subset_row r
left join subset s on s.dataset = $dataset and s.context_kind = $context_kind and s.name = r.name
                  and s.n = r.n and s.content = r.content;

-- name: forget_old_subsets
-- What the new build does not keep goes, with all that hangs on it.
create temp table gone as
select subset_id from subset
where dataset = $dataset and context_kind = $context_kind and subset_id not in (select subset_id from key);

-- name: insert_subsets
insert into subset
select k.subset_id, $dataset, r.name, r.class, r.context, $context_kind, r.n, r.kept, m.subset_id, r.content, $run_id
from memory.subset_row r
join key k using (subset_no)
left join key m on m.subset_no = r.mirror_no
order by k.subset_id;

-- name: insert_memberships
insert into membership
select k.subset_id, m.item_id, 1
from memory.member m join key k using (subset_no)
where k.is_new
order by k.subset_id, m.item_id;

-- name: insert_overlaps
insert into subset_overlap
select least(l.subset_id, r.subset_id), greatest(l.subset_id, r.subset_id), o.n_both, o.overlap, o.jaccard, o.edge
from memory.overlap o join key l on l.subset_no = o.left_no join key r on r.subset_no = o.right_no
order by all;

-- name: insert_distances
insert into subset_distance
select least(l.subset_id, r.subset_id), greatest(l.subset_id, r.subset_id),
       d.spectral_distance, d.spectral_valid, d.resistance, d.note
from memory.distance d join key l on l.subset_no = d.left_no join key r on r.subset_no = d.right_no
order by all;

-- name: insert_communities
insert into community
select k.subset_id, g.community, $algorithm, $weighted, $seed
from memory.layout g join key k using (subset_no) order by k.subset_id;

-- name: insert_positions
insert into subset_position
select k.subset_id, g.x, g.y from memory.layout g join key k using (subset_no) order by k.subset_id;
