select
    accounting_date,
    gateway_id,
    match_status,
    count(*) as line_count
from rec_settlement_lines
where line_type in ('charge', 'refund')
group by accounting_date, gateway_id, match_status
