"""``retail exceptions propose``: rules that would have decided what people decided by hand, measured on all there is.

A proposal changes nothing. It names a setting, the value that the hand-made decisions speak for, and what it would do
to every other payment or line: how many it would decide anew, with how many existing matches it agrees, and how many it
would contradict or leave ambiguous. Only one that contradicts nothing is worth taking over.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from rich.console import Console
from rich.markup import escape

from retail_assets.commands.warehouse import rows
from retail_assets.money import quantize
from retail_assets.ops import exception_actions, links
from retail_assets.ops.store import open_store
from retail_assets.settings import Settings


@dataclass(frozen=True, slots=True)
class Proposal:
    """A rule, and its measured effect.

    Attributes:
        where: the setting, as a path in retail.yaml or a CSV file of finance.
        value: what it would be; ``now`` what it is.
        because: links and exceptions that people decided alike.
        decides: payments or lines that are undecided now and would be decided.
        agrees: those that other rules decided, in the same way.
        contradicts: those that other rules decided otherwise.
        ambiguous: those of which it could not tell.
        amounts: what the decided come to, by currency, in major units.
    """

    where: str
    value: str
    now: str
    because: tuple[str, ...]
    decides: int
    agrees: int
    contradicts: int
    ambiguous: int
    amounts: dict[str, Decimal]

    @property
    def is_safe(self) -> bool:
        """Whether it contradicts nothing and leaves nothing ambiguous."""
        return self.contradicts == 0 and self.ambiguous == 0

    def as_dict(self) -> dict[str, Any]:
        """For scripts."""
        return {**asdict(self), "is_safe": self.is_safe}


def proposals(settings: Settings, exception_id: str | None = None) -> list[Proposal]:
    """Rules that what people decided by hand speaks for, those that decide most first.

    Args:
        exception_id: only what speaks for itself in what was decided about this one.
    """
    operations = open_store(settings.operations_url)
    try:
        by_hand = [each for each in links.links(operations) if each.kind == "payment_order" and each.is_live]
        work = exception_actions.work(operations)
    finally:
        operations.dispose()
    settled = {key: each for key, each in work.items() if each.resolved or each.written_off}
    if exception_id is not None:
        by_hand = [each for each in by_hand if each.exception_id == exception_id]
        settled = {key: each for key, each in settled.items() if key == exception_id}
    found = [
        *_references(settings, [(each.left_key, each.right_key) for each in by_hand]),
        *_tolerances(settings, settled),
        *_fees(settings, settled),
        *_line_types(settings, settled),
    ]
    return sorted(found, key=lambda each: (not each.is_safe, -each.decides, each.where, each.value))


def print_proposals(console: Console, found: list[Proposal]) -> None:
    """A paragraph each."""
    if not found:
        console.print("Nothing that was decided by hand speaks for a rule.", highlight=False)
    for each in found:
        sums = ", ".join(f"{amount:,.2f} {currency}" for currency, amount in sorted(each.amounts.items()))
        console.print(
            f"[bold]{escape(each.where)}[/bold]: [cyan]{escape(each.value)}[/cyan] (now {escape(each.now)})",
            highlight=False,
            soft_wrap=True,
        )
        console.print(
            f"    would decide {each.decides}{f' ({sums})' if sums else ''}, agrees with {each.agrees}, contradicts "
            f"{each.contradicts}, leaves {each.ambiguous} ambiguous: "
            + (
                "[green]nothing speaks against it[/green]"
                if each.is_safe
                else "[red]do not take it over as it is[/red]"
            ),
            highlight=False,
            soft_wrap=True,
        )
        console.print(
            f"    [dim]decided by hand: {escape(', '.join(each.because))}[/dim]", highlight=False, soft_wrap=True
        )
    if found:
        console.print("See what it would post before you take it over: retail plan --shadow FILE", highlight=False)


# --- references of payments ---

_LINKED: Final = """
select
    payments.payment_key, payments.gateway_id, payments.order_reference, payments.merchant_reference,
    orders.order_key, orders.order_number, cast(orders.order_id as varchar) as order_id,
    gateways.order_reference as holds, coalesce(gateways.reference_prefix, '') as prefix
from intermediate.int_payments_unioned as payments
inner join staging.stg_ops__gateways as gateways on payments.gateway_id = gateways.gateway_id
inner join intermediate.int_orders_matchable as orders on payments.gateway_id = orders.gateway_id
where
    payments.payment_key in (select unnest($payments))
    and orders.order_key in (select unnest($orders))
"""

# $name is what the rule reads in each payment, $meaning which name of the order that is.
_EFFECT: Final = """
with named as (
    select
        payments.payment_key,
        payments.currency_code,
        payments.captured_amount,
        case $reads
            when 'merchant_reference' then
                case
                    when starts_with(payments.merchant_reference, $prefix)
                        then nullif(substring(payments.merchant_reference, length($prefix) + 1), '')
                end
            else payments.order_reference
        end as name
    from intermediate.int_payments_unioned as payments
    where payments.gateway_id = $gateway and payments.is_live and payments.is_captured and payments.captured_amount > 0
),

pairs as (
    select named.*, orders.order_key
    from named
    inner join intermediate.int_orders_matchable as orders
        on
            orders.gateway_id = $gateway
            and named.name = case $meaning when 'id' then cast(orders.order_id as varchar) else orders.order_number end
),

counted as (
    select
        *,
        count(*) over (partition by payment_key) as orders_of_payment,
        count(*) over (partition by order_key) as payments_of_order
    from pairs
),

judged as (
    select
        counted.payment_key,
        counted.currency_code,
        counted.captured_amount,
        counted.orders_of_payment,
        counted.payments_of_order,
        counted.order_key = decided.order_key as is_same,
        coalesce(decided.is_matched and decided.match_rule <> 'manual', false) as is_decided,
        coalesce(decided.match_rule = 'manual' and decided.order_key <> counted.order_key, false) as is_against_hand,
        coalesce(taken.payment_key <> counted.payment_key, false) as is_taken
    from counted
    left join intermediate.int_payments_correlated as decided on counted.payment_key = decided.payment_key
    left join intermediate.int_payments_correlated as taken
        on counted.order_key = taken.order_key and taken.is_matched
)

select
    currency_code,
    count(*) filter (where not is_decided and orders_of_payment = 1 and payments_of_order = 1 and not is_taken
        and not is_against_hand) as decides,
    sum(captured_amount) filter (where not is_decided and orders_of_payment = 1 and payments_of_order = 1
        and not is_taken and not is_against_hand) as amount,
    count(*) filter (where is_decided and is_same) as agrees,
    count(*) filter (where (is_decided and orders_of_payment = 1 and not is_same) or is_against_hand) as contradicts,
    count(*) filter (where not is_decided and not is_against_hand
        and (orders_of_payment > 1 or payments_of_order > 1 or is_taken)) as ambiguous
from judged
group by currency_code
order by currency_code
"""


def _references(settings: Settings, pairs: list[tuple[str, str]]) -> Iterator[Proposal]:
    """Settings of gateways under which the payments' own references name the orders."""
    known = set(pairs)
    found = rows(
        settings, _LINKED, {"payments": [payment for payment, _ in pairs], "orders": [order for _, order in pairs]}
    )
    because: dict[tuple[str, str, str, str], list[str]] = defaultdict(list)
    for row in found:
        if (row["payment_key"], row["order_key"]) not in known:
            continue
        reference, number = row["merchant_reference"] or "", row["order_number"]
        prefix = reference.removesuffix(number)
        if prefix and prefix != reference and prefix != row["prefix"]:
            because[row["gateway_id"], "merchant_reference", prefix, row["prefix"]].append(row["payment_key"])
        other = "id" if row["holds"] == "number" else "number"
        if row["order_reference"] and row["order_reference"] == row["order_id" if other == "id" else "order_number"]:
            because[row["gateway_id"], "order_reference", other, row["holds"]].append(row["payment_key"])
    for (gateway, reads, value, now), keys in because.items():
        effect = rows(
            settings,
            _EFFECT,
            {
                "gateway": gateway,
                "reads": reads,
                "prefix": value if reads == "merchant_reference" else "",
                "meaning": value if reads == "order_reference" else "number",
            },
        )
        setting = "reference_prefix" if reads == "merchant_reference" else "order_reference"
        yield _proposal(f"gateways.{gateway}.{setting} in retail.yaml", value, now or "none", keys, effect)


# --- tolerances ---

_SMALL: Final = """
with differences as (
    select
        payments.currency_code,
        abs(payments.difference_amount) as amount,
        payments.match_status
    from intermediate.int_payments_correlated as payments
    where
        payments.entity_code = $entity
        and payments.is_matched
        and payments.difference_amount is not null
        and abs(payments.difference_amount) <= $units * cast(power(10, -payments.currency_digits) as decimal(18, 4))
)

select
    currency_code,
    count(*) filter (where match_status = 'amount_diff') as decides,
    sum(amount) filter (where match_status = 'amount_diff') as amount,
    count(*) filter (where match_status in ('matched', 'matched_tolerance')) as agrees,
    0 as contradicts,
    0 as ambiguous
from differences
group by currency_code
order by currency_code
"""

_DIFFERENCE: Final = """
select
    payments.entity_code, orders.exception_id,
    cast(abs(payments.difference_amount) * power(10, payments.currency_digits) as integer) as units
from marts.rec_exceptions as orders
inner join intermediate.int_payments_correlated as payments on orders.order_key = payments.order_key
where
    orders.exception_id in (select unnest($ids))
    and orders.exception_type = 'amount_mismatch'
    and payments.is_matched and payments.match_status = 'amount_diff' and payments.difference_amount is not null
"""

#: What retail.yaml allows.
_LARGEST_TOLERANCE: Final = 100


def _tolerances(settings: Settings, settled: Iterable[str]) -> Iterator[Proposal]:
    """Tolerances under which differences that people called settled would have been rounding."""
    largest: dict[str, tuple[int, list[str]]] = {}
    for row in rows(settings, _DIFFERENCE, {"ids": list(settled)}):
        if 0 < row["units"] <= _LARGEST_TOLERANCE:
            units, ids = largest.setdefault(row["entity_code"], (0, []))
            largest[row["entity_code"]] = (max(units, row["units"]), [*ids, row["exception_id"]])
    for entity, (units, ids) in largest.items():
        now = settings.configuration.policy(entity).tolerance_minor_units
        if units > now:
            effect = rows(settings, _SMALL, {"entity": entity, "units": units})
            where = f"policies.entities.{entity}.tolerance_minor_units in retail.yaml"
            yield _proposal(where, str(units), str(now), ids, effect)


# --- fee contracts ---

# Fees whose contract is a rate and a fixed part, and nothing else.
_CHARGED: Final = """
select
    fees.fee_status, fees.basis_amount, fees.actual_fee_amount, fees.difference_amount, fees.accounting_date,
    rules.fee_rate, rules.fixed_amount
from marts.rec_fees as fees
inner join staging.stg_ops__gateway_fees as rules
    on fees.gateway_id = rules.gateway_id and fees.fee_rule_id = rules.fee_rule_id
where
    fees.gateway_id = $gateway and fees.fee_rule_id = $rule and fees.currency_code = $currency
    and not rules.adds_interchange and rules.minimum_amount is null and rules.maximum_amount is null
    and fees.basis_amount > 0
order by fees.basis_amount desc, fees.settlement_line_key
"""

_PERCENT_STEP: Final = Decimal("0.01")


def _fees(settings: Settings, settled: dict[str, exception_actions.Work]) -> Iterator[Proposal]:
    """Rates under which the fees that people called settled would have been the contract's."""
    because: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for key, each in settled.items():
        seen = each.seen
        if seen.exception_type == "fee_variance" and seen.gateway_id and seen.currency_code:
            rule = str(json.loads(seen.evidence or "{}").get("rule", ""))
            because[seen.gateway_id, rule, seen.currency_code].append(key)
    for (gateway, rule, currency), ids in because.items():
        lines = rows(settings, _CHARGED, {"gateway": gateway, "rule": rule, "currency": currency})
        other = [line for line in lines if line["fee_status"] == "fee_variance"]
        if not other:
            continue
        # Of the largest sale, where rounding says least about the rate.
        fixed, largest = other[0]["fixed_amount"], other[0]
        percent = (largest["actual_fee_amount"] - fixed) * 100 / largest["basis_amount"]
        percent = percent.quantize(_PERCENT_STEP, ROUND_HALF_UP).normalize()
        since = min(line["accounting_date"] for line in other)

        def fits(line: dict[str, Any], percent: Decimal = percent, currency: str = currency) -> bool:
            fee = quantize(line["basis_amount"] * percent / 100 + line["fixed_amount"], currency)
            return fee == line["actual_fee_amount"]

        later = [line for line in lines if line["accounting_date"] >= since]
        decided = [line for line in other if fits(line)]
        as_agreed = [line for line in later if line["fee_status"] != "fee_variance"]
        yield Proposal(
            where=f"gateways.{gateway}.fees.{rule} in retail.yaml",
            value=f"percent {percent:f} from {since}",
            now=f"percent {(largest['fee_rate'] * 100).normalize():f}",
            because=tuple(sorted(ids)),
            decides=len(decided),
            agrees=sum(fits(line) for line in as_agreed),
            contradicts=sum(not fits(line) for line in as_agreed),
            ambiguous=len(other) - len(decided),
            amounts={currency: sum((abs(line["difference_amount"]) for line in decided), Decimal(0))},
        )


# --- lines nobody has a treatment for ---

_UNKNOWN: Final = """
select
    lines.settlement_line_key, lines.gateway_system, lines.line_type, lines.source_category, lines.source_type,
    lines.currency_code, abs(lines.net_amount) as amount
from intermediate.int_settlement_lines_judged as lines
where lines.counterpart_role is null and lines.is_clearing
"""


def _line_types(settings: Settings, settled: dict[str, exception_actions.Work]) -> Iterator[Proposal]:
    """Treatments of kinds of lines of which people settled some by hand."""
    decided = {
        each.seen.settlement_line_key: (key, each)
        for key, each in settled.items()
        if each.seen.exception_type == "unknown_line_type"
    }
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in rows(settings, _UNKNOWN) if decided else ():
        kind = (row["gateway_system"], row["source_category"] or "", row["source_type"] or "", row["line_type"])
        groups[kind].append(row)
    for (system, category, type_, line_type), some in groups.items():
        ids = [decided[row["settlement_line_key"]] for row in some if row["settlement_line_key"] in decided]
        if not ids:
            continue
        gone = all(each.written_off is not None for _, each in ids)
        amounts: dict[str, Decimal] = defaultdict(Decimal)
        others = [row for row in some if row["settlement_line_key"] not in decided]
        for row in others:
            amounts[row["currency_code"]] += row["amount"]
        yield Proposal(
            where=f"line_types.csv of {system} and line_treatments.csv",
            value=f"{category or type_} → {'write_offs' if gone else 'the account that it belongs on'}",
            now=f"{line_type}, in suspense",
            because=tuple(key for key, _ in ids),
            decides=len(others),
            agrees=0,
            contradicts=0,
            ambiguous=0,
            amounts=dict(amounts),
        )


def _proposal(where: str, value: str, now: str, because: Iterable[str], effect: list[dict[str, Any]]) -> Proposal:
    return Proposal(
        where=where,
        value=value,
        now=now,
        because=tuple(sorted(because)),
        decides=sum(row["decides"] for row in effect),
        agrees=sum(row["agrees"] for row in effect),
        contradicts=sum(row["contradicts"] for row in effect),
        ambiguous=sum(row["ambiguous"] for row in effect),
        amounts={row["currency_code"]: row["amount"] for row in effect if row["amount"]},
    )
