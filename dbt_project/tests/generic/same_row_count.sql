{#- Fails when the model does not have as many rows as another one: nothing lost, no fan-out. -#}
{% test same_row_count(model, compare_to, where="true") %}

select
    ours.row_count,
    theirs.row_count as expected_row_count
from (select count(*) as row_count from {{ model }}) as ours
cross join (select count(*) as row_count from {{ compare_to }} where {{ where }}) as theirs
where ours.row_count <> theirs.row_count

{% endtest %}
