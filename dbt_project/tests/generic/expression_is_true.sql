{#- Fails for each row on which the expression is not true; unknown (null) fails as well. -#}
{% test expression_is_true(model, expression) %}

select 1 as failing_row
from {{ model }}
where ({{ expression }}) is not true

{% endtest %}
