"""``retail fees``: what gateways charged more than their contracts say."""

import csv
import io
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

from retail_assets.commands.warehouse import rows
from retail_assets.settings import Settings


def overcharged_lines(settings: Settings, gateway_id: str, month: str | None) -> list[dict[str, Any]]:
    """The sales of a gateway account that cost more than its contract says, in the order they were booked.

    Args:
        month: only sales of this month of the books, as ``2026-10``.
    """
    return rows(
        settings,
        """
        select
            fees.gateway_id,
            lines.line_id,
            lines.source_id as payment_id,
            fees.settlement_key,
            fees.order_key,
            fees.accounting_date,
            fees.booked_at,
            fees.fee_rule_id,
            fees.payment_method_type,
            fees.card_brand,
            fees.card_country,
            fees.card_region,
            fees.currency_code,
            fees.basis_amount,
            fees.expected_fee_amount,
            fees.actual_fee_amount,
            fees.difference_amount
        from marts.rec_fees as fees
        inner join marts.fct_settlement_lines as lines on fees.settlement_line_key = lines.settlement_line_key
        where
            fees.gateway_id = $gateway
            and fees.fee_status = 'fee_variance'
            and fees.difference_amount > 0
            and ($month is null or substring(cast(fees.accounting_date as varchar), 1, 7) = $month)
        order by fees.booked_at, lines.line_id
        """,
        {"gateway": gateway_id, "month": month},
    )


def claimed(lines: list[dict[str, Any]]) -> dict[str, Decimal]:
    """What is claimed, by currency."""
    totals: dict[str, Decimal] = {}
    for line in lines:
        totals[line["currency_code"]] = totals.get(line["currency_code"], Decimal(0)) + line["difference_amount"]
    return totals


def write_claim(settings: Settings, gateway_id: str, month: str | None, lines: list[dict[str, Any]]) -> Path:
    """Write the claim of a gateway account; the former file stays whole until the new one is."""
    path = settings.home / "exports" / f"fee_claim_{gateway_id}_{month or 'all'}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _shown(value) for name, value in line.items()} for line in lines)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with unfinished.open("wb") as file:
        file.write(text.getvalue().encode())
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    return path


def _shown(value: Any) -> str:
    if isinstance(value, Decimal):
        return f"{value:f}"
    # A spreadsheet takes what begins like this for a formula; references come from outside.
    text = "" if value is None else str(value)
    return "'" + text if text[:1] in ("=", "+", "-", "@", "\t") else text
