-- Counts over shards of images, added up. $files are the parts that the shards left.

-- name: sum_pair_counts
create table pair_count as
select class, context, sum(n)::bigint as n from read_parquet($files) group by all;

-- name: gather_contents
create table content as
select subset_no, bit_xor(high) as high, bit_xor(low) as low from read_parquet($files) group by subset_no;

-- name: sum_shared
create table shared as
select left_no, right_no, sum(n_both)::integer as n_both from read_parquet($files) group by all;
