"""The report of a month's close: one HTML file that needs nothing else, with its charts drawn in it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from retail_assets.money import exponent

if TYPE_CHECKING:
    from retail_assets.commands.close_checks import Report

#: Upper ends of the ages that open items are grouped by, in days before the end of the month, with their names.
AGES: Final = ((7, "0–7 days"), (30, "8–30 days"), (60, "31–60 days"), (None, "over 60 days"))

_WIDTH: Final = 760
_LABELS: Final = 250
_VALUES: Final = 150
_ROW: Final = 22
_BAR: Final = 14
_LONGEST_LABEL: Final = 36


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar from ``start`` to ``end`` on the scale of its chart, with what is written beside it."""

    label: str
    start: Decimal
    end: Decimal
    text: str
    kind: str


def pages() -> Environment:
    """The templates of pages that need nothing else; the same values give the same text."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["money"] = money
    return environment


def render(report: "Report") -> str:
    """The page; the same report gives the same text."""
    template = pages().get_template("close.html.j2")
    return template.render(
        report=report,
        figures=report.figures,
        counts={status: sum(check.status == status for check in report.checks) for status in _MARKS},
        marks=_MARKS,
        ages=[name for _, name in AGES],
        charts={
            "bridge": _by_currency(report.figures["bridge"], _waterfall),
            "payouts": _by_currency(report.figures["payout_states"], _payouts),
            "clearing": _by_currency(report.figures["clearing_ageing"], _ageing),
            "transit": _by_currency(report.figures["transit_ageing"], _ageing),
            "tax": _by_currency(report.figures["tax"], _tax),
            "exceptions": [(None, draw("Open exceptions by type", list(_exceptions(report.figures["exceptions"]))))]
            if report.figures["exceptions"]
            else [],
            "trial_balance": _by_currency(report.figures["trial_balance"], _movements),
        },
    )


def money(amount: Decimal | None, currency_code: str) -> str:
    """An amount with as many decimals as its currency has, and a real minus sign."""
    return "" if amount is None else f"{amount:,.{exponent(currency_code)}f}".replace("-", "−")


def draw(title: str, bars: Sequence[Bar]) -> Markup:
    """Horizontal bars on one scale that includes zero, as SVG that scales with the page."""
    low = min(min(min(bar.start, bar.end) for bar in bars), Decimal(0))
    high = max(max(max(bar.start, bar.end) for bar in bars), Decimal(0))
    room = Decimal(_WIDTH - _LABELS - _VALUES - 20)
    span = (high - low) or Decimal(1)

    def at(value: Decimal) -> Decimal:
        return _LABELS + 10 + (value - low) / span * room

    height = _ROW * len(bars) + 8
    parts = [
        Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">').format(_WIDTH, height, title),
        Markup('<line class="zero" x1="{0}" x2="{0}" y1="0" y2="{1}"/>').format(f"{at(Decimal(0)):.1f}", height),
    ]
    for number, bar in enumerate(bars):
        top = 4 + number * _ROW
        left, right = sorted((at(bar.start), at(bar.end)))
        label = bar.label if len(bar.label) <= _LONGEST_LABEL else bar.label[: _LONGEST_LABEL - 1] + "…"
        parts.append(
            Markup(
                '<text class="label" x="{}" y="{}">{}</text>'
                '<rect class="{}" x="{}" y="{}" width="{}" height="{}" rx="1.5"><title>{}: {}</title></rect>'
                '<text class="value" x="{}" y="{}">{}</text>'
            ).format(
                _LABELS,
                top + 12,
                label,
                bar.kind,
                f"{left:.1f}",
                top + 1,
                # What is not zero is seen.
                f"{max(right - left, Decimal(1) if bar.start != bar.end else Decimal(0)):.1f}",
                _BAR,
                bar.label,
                bar.text,
                _WIDTH,
                top + 12,
                bar.text,
            )
        )
    return Markup("\n").join([*parts, Markup("</svg>")])


_MARKS: Final = {"passed": "✓", "warning": "!", "failed": "✗"}


def _by_currency(rows: Iterable[dict[str, Any]], bars: Any) -> list[tuple[str, Markup]]:
    """A chart for each currency: amounts of several have no scale in common."""
    ordered = sorted(rows, key=lambda row: row["currency_code"])
    found = []
    for currency, group in groupby(ordered, key=lambda row: row["currency_code"]):
        drawn = list(bars(list(group)))
        if drawn:
            found.append((currency, draw(currency, drawn)))
    return found


def _bar(label: str, amount: Decimal, currency_code: str, kind: str | None = None) -> Bar:
    return Bar(label, Decimal(0), amount, money(amount, currency_code), kind or ("plus" if amount >= 0 else "minus"))


def _waterfall(rows: list[dict[str, Any]]) -> Iterator[Bar]:
    """Each step starts where the one before ended; totals stand on the ground, as does what became of the net."""
    level = Decimal(0)
    totals = 0
    for row in rows:
        amount, currency = row["amount"], row["currency_code"]
        if row["is_total"]:
            totals += 1
            level = amount
            yield _bar(row["step"], amount, currency, "total")
        elif totals == len(("charged", "net")):
            yield _bar(row["step"], amount, currency, "part")
        else:
            kind = "plus" if amount >= 0 else "minus"
            yield Bar(row["step"], level, level + amount, money(amount, currency), kind)
            level += amount


def _payouts(rows: list[dict[str, Any]]) -> Iterator[Bar]:
    for row in rows:
        kind = {"reconciled": "plus", "in_transit": "part", "pending": "part"}.get(row["settlement_status"], "bad")
        label = f"{row['gateway_id']}: {row['settlement_status'].replace('_', ' ')} ({row['payouts']})"
        yield _bar(label, row["net_amount"], row["currency_code"], kind)


def _ageing(rows: list[dict[str, Any]]) -> Iterator[Bar]:
    for row in rows:
        for days, name in AGES:
            if row[name]:
                kind = "bad" if days is None else None
                yield _bar(f"{row['account_code']}, {name}", row[name], row["currency_code"], kind)
        if row["difference_amount"]:
            yield _bar(f"{row['account_code']}, unexplained", row["difference_amount"], row["currency_code"], "bad")


def _tax(rows: list[dict[str, Any]]) -> Iterator[Bar]:
    for row in rows:
        for side, kind in (("store", "plus"), ("engine", "part"), ("ledger", "total")):
            amount = row[f"{side}_tax_amount"]
            if amount is not None:
                yield _bar(f"{row['tax_jurisdiction']}: {side}", amount, row["currency_code"], kind)


def _exceptions(rows: Iterable[dict[str, Any]]) -> Iterator[Bar]:
    ordered = sorted(rows, key=lambda row: (row["exception_type"], row["blocks_close"]))
    for (name, blocks), group in groupby(ordered, key=lambda row: (row["exception_type"], row["blocks_close"])):
        count = sum(row["exceptions"] for row in group)
        yield Bar(name.replace("_", " "), Decimal(0), Decimal(count), str(count), "bad" if blocks else "part")


def _movements(rows: list[dict[str, Any]]) -> Iterator[Bar]:
    for row in rows:
        amount = row["debit_amount"] - row["credit_amount"]
        yield _bar(f"{row['account_code']} {row['account_name']}", amount, row["currency_code"])
