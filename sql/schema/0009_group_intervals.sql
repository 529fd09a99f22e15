-- Intervals of the means of operators and other groups, from a bootstrap over their episodes.

alter table group_score add column ci_low double;
alter table group_score add column ci_high double;
