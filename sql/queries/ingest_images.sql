-- Annotations of images: from the staged tables of a reader to rows of the catalog.
-- Runs in a workspace that holds stage_image, stage_object, stage_relation; the catalog's own tables are
-- reached as catalog.<table> only in statements that say so.

-- name: find_duplicate_images
-- Image ids that are listed twice.
select external_id as record, count(*) || ' times' as detail from stage_image group by external_id having count(*) > 1
union
select image, count(*) || ' times' from stage_image group by image having count(*) > 1
order by record;

-- name: find_duplicate_objects
-- Object ids that a file gives twice.
select object as record, 'in images ' || string_agg(distinct image, ', ') as detail
from stage_object where object is not null
group by object, part having count(*) > 1 order by record;

-- name: find_duplicate_objects_of_an_image
-- The same, where ids count within an image only.
select 'image ' || image || ', object ' || object as record, count(*) || ' times' as detail
from stage_object where object is not null
group by image, object, part having count(*) > 1 order by record;

-- name: find_objects_of_unlisted_images
-- Objects whose image is not listed.
select coalesce('annotation ' || object || ' of ', '') || 'image ' || image as record, 'the image is not listed' as detail
from stage_object anti join stage_image using (image) order by record;

-- name: drop_objects_of_unlisted_images
delete from stage_object where image not in (select image from stage_image);

-- name: find_dangling_relations
-- Relations to an object that is not in their image.
select 'image ' || r.image || ', object ' || r.subject as record,
       'relation ''' || r.predicate || ''' to object ' || r.object || ', which is not in the image' as detail
from stage_relation r anti join stage_object o on o.image = r.image and o.object = r.object
order by record, detail;

-- name: drop_dangling_relations
delete from stage_relation r
where not exists (from stage_object o where o.image = r.image and o.object = r.object)
   or not exists (from stage_object o where o.image = r.image and o.object = r.subject);

-- name: flag_images_without_objects
select 'image ' || external_id as record, null as detail
from stage_image anti join stage_object using (image) order by record;

-- name: flag_boxes_beyond_the_image
select 'image ' || i.external_id || coalesce(', object ' || o.object, '') as record,
       format('x {}, y {}, w {}, h {} in {} x {}', o.x, o.y, o.w, o.h, i.width, i.height) as detail
from stage_object o join stage_image i using (image)
where o.x < 0 or o.y < 0 or o.x + o.w > i.width or o.y + o.h > i.height order by record, detail;

-- name: flag_boxes_without_area
select 'image ' || image || coalesce(', object ' || object, '') as record, format('w {}, h {}', w, h) as detail
from stage_object where w <= 0 or h <= 0 order by record, detail;

-- name: merge_object_parts
-- Several files tell of one object: names and box from the first of them, attributes from all.
create or replace table stage_object as
select image, object, first(name order by part) as name, first(category order by part) as category,
       first(x order by part) as x, first(y order by part) as y, first(w order by part) as w, first(h order by part) as h,
       bool_or(crowd) as crowd, list_distinct(flatten(list(attributes order by part))) as attributes, min(part) as part
from stage_object group by image, object;

-- name: number_images
-- Items in the order of their ids; the catalog adds the keys that it has already given.
create table item_row as
select row_number() over (order by external_id) - 1 as item_no, * from stage_image;

-- name: number_words
-- Names of objects and attributes, in the order of kind and name.
create table word as
with told as (
    select 'object' as kind, name, category from stage_object
    union all
    select 'attribute', a.name, a.category from (select unnest(attributes) as a from stage_object)
)
select row_number() over (order by kind, name) - 1 as word_no, kind, name, min(category) as category
from told group by kind, name;

-- name: number_objects
-- Instances in the order of image and object id, so that the same input gives the same keys.
-- area_frac: the box clipped to its image, as a share of the image.
create table object_row as
select row_number() over (order by i.item_no, o.object, o.name, o.x, o.y, o.w, o.h) - 1 as object_no,
       i.item_no, w.word_no, o.object as external_id, o.x, o.y, o.w, o.h, o.crowd, o.attributes,
       greatest(least(o.x + o.w, i.width) - greatest(o.x, 0), 0)
           * greatest(least(o.y + o.h, i.height) - greatest(o.y, 0), 0)
           / nullif(i.width::double * i.height, 0) as area_frac
from stage_object o
join item_row i using (image)
join word w on w.kind = 'object' and w.name = o.name;

-- The statements below run in the transaction of the catalog; the workspace is `memory`.

-- name: find_images_already_there
-- Items of this dataset with the same id.
select i.external_id as record, 'is in the dataset already' as detail
from item i join memory.stage_image s on s.external_id = i.external_id
where i.dataset = $dataset order by record;

-- name: insert_items
insert into item
select $first_item + item_no, $dataset, external_id, width, height, file from memory.item_row order by item_no;

-- name: insert_labels
insert into label
select $first_item + item_no, l.scheme, l.value from (select item_no, unnest(labels) as l from memory.item_row)
order by item_no, l.scheme;

-- name: insert_terms
-- Words that the dataset does not know yet.
insert into term
select $first_term + row_number() over (order by word_no) - 1, $dataset, kind, name, category
from memory.word anti join (from term where dataset = $dataset) known using (kind, name);

-- name: insert_item_terms
insert into item_term
select $first_item + o.item_no, t.term_id, count(*), least(sum(o.area_frac), 1)
from memory.object_row o
join memory.word w using (word_no)
join term t on t.dataset = $dataset and t.kind = w.kind and t.name = w.name
group by all order by all;

-- name: insert_objects
insert into object
select $first_object + o.object_no, $first_item + o.item_no, t.term_id, o.external_id, o.x, o.y, o.w, o.h, o.crowd
from memory.object_row o
join memory.word w using (word_no)
join term t on t.dataset = $dataset and t.kind = w.kind and t.name = w.name
order by o.object_no;

-- name: insert_object_attributes
insert into object_attribute
select distinct $first_object + o.object_no, t.term_id
from (select object_no, unnest(attributes) as a from memory.object_row) o
join term t on t.dataset = $dataset and t.kind = 'attribute' and t.name = o.a.name
order by all;

-- name: insert_relations
insert into relation
select $first_item + i.item_no, $first_object + s.object_no, r.predicate, $first_object + o.object_no
from memory.stage_relation r
join memory.item_row i using (image)
join memory.object_row s on s.item_no = i.item_no and s.external_id = r.subject
join memory.object_row o on o.item_no = i.item_no and o.external_id = r.object
order by all;

-- name: picture_items
-- Items of a data set by which pictures are found.
select item_id, external_id, file from item where dataset = $dataset order by item_id;

-- name: picture_files_there
select n from picture_file where dataset = $dataset and sha256 = $sha256;
