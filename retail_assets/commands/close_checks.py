"""Whether a month of the books can be closed: the checks and the figures behind them.

Every check reads what is there for anybody to read: the marts, the outbox, the attestations. A check that fails keeps
the month open; a warning is what the controller must know and may accept. docs/close.md says which is which and why.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Literal

import duckdb
from sqlalchemy import Engine

from retail_assets.accounting.plan import CANCELLED_AT_ERP, Plan
from retail_assets.commands.close_report import AGES, money
from retail_assets.commands.summary import BRIDGE
from retail_assets.commands.warehouse import reading_warehouse
from retail_assets.defs.checks.invariants import INVARIANTS
from retail_assets.defs.export.planning import plan_for
from retail_assets.erp.payload import from_payload
from retail_assets.ops import attestations, audit, outbox, periods
from retail_assets.ops.outbox import Posting
from retail_assets.ops.periods import Period
from retail_assets.settings import Entity, Settings

Status = Literal["passed", "warning", "failed"]
Row = dict[str, Any]

_ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the checklist: ``failed`` keeps the month open, ``warning`` does not."""

    code: str
    title: str
    status: Status
    summary: str
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """What the month looks like, and what the checks make of it."""

    entity: Entity
    period: Period
    as_of: datetime
    checks: tuple[Check, ...]
    figures: dict[str, list[Row]]

    @property
    def blocking(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.status == "failed")


def examine(settings: Settings, operations: Engine, entity: Entity, period: Period) -> Report:
    """All checks and figures of a month; changes nothing."""
    plan = plan_for(settings, operations, entity.code)
    with reading_warehouse(settings) as warehouse:
        return _Examination(settings, operations, warehouse, plan, entity, period).report()


class _Examination:
    def __init__(
        self,
        settings: Settings,
        operations: Engine,
        warehouse: duckdb.DuckDBPyConnection,
        plan: Plan,
        entity: Entity,
        period: Period,
    ) -> None:
        self.settings, self.operations, self.warehouse, self.plan = settings, operations, warehouse, plan
        self.entity, self.period = entity, period
        self.ends_at = period.ends_at(entity.time_zone)
        self.posted = [
            posting
            for posting in outbox.postings(operations, entity_code=entity.code, states=(outbox.POSTED,))
            if posting.posting_date <= period.last_day
        ]
        self.figures: dict[str, list[Row]] = {}

    def report(self) -> Report:
        checks: list[Callable[[], Check]] = [
            self.ended,
            self.in_order,
            self.sources_loaded,
            self.windows_complete,
            self.invariants_hold,
            self.payouts_footed,
            self.methods_served,
            self.bank_explained,
            self.clearing_is_the_balance,
            self.clearing_aged,
            self.transit_aged,
            self.tax_agrees,
            self.gift_cards_agree,
            self.exceptions_settled,
            self.plan_is_empty,
            self.held_entries,
            self.books_are_the_ledger,
            self.attested,
            self.evidence_whole,
        ]
        self.figures["bridge"] = self._bridge()
        done = tuple(check() for check in checks)
        (clock,) = self._rows("select as_of from staging.stg_ops__clock")
        return Report(self.entity, self.period, clock["as_of"].replace(tzinfo=UTC), done, self.figures)

    def ended(self) -> Check:
        zone = self.entity.time_zone
        moment = f"{self.ends_at:%Y-%m-%d %H:%M} UTC ({zone})"
        if self.settings.now() < self.ends_at:
            return Check("period_ended", "The month is over", "failed", f"It ends at {moment}: wait until then.")
        return Check("period_ended", "The month is over", "passed", f"It ended at {moment}.")

    def in_order(self) -> Check:
        title = "Earlier months are closed"
        before = [row for row in periods.closed(self.operations, self.entity.code) if row.period < str(self.period)]
        if before:
            expected = Period.parse(before[-1].period).following
            if expected < self.period:
                return Check("in_order", title, "failed", f"{expected} is open: close it first.")
            return Check("in_order", title, "passed", f"{before[-1].period} is closed.")
        (first,) = self._rows(
            "select min(posting_date) as day from marts.acc_journal_entries where entity_code = $entity"
        )
        if first["day"] is not None and first["day"] < self.period.first_day:
            earlier = Period.of(first["day"])
            return Check("in_order", title, "failed", f"{earlier} has entries and is open: close it first.")
        return Check("in_order", title, "passed", "It is the first month of the books.")

    def sources_loaded(self) -> Check:
        title = "Sources were loaded after the end of the month"
        loaded = {
            row["instance_id"]: row
            for row in self._rows(
                """
                select
                    instance_id,
                    min(loaded_at) as first_at,
                    arg_min(resource, row(loaded_at, resource)) as first_resource
                from marts.mon_ingestion_latency
                group by instance_id
                """
            )
        }
        late = []
        for instance in self._instances():
            row = loaded.get(instance)
            if row is None:
                late.append(f"{instance} was never loaded")
            elif row["first_at"].replace(tzinfo=UTC) < self.ends_at:
                late.append(f"{instance}: {row['first_resource']} was last loaded {row['first_at']:%Y-%m-%d %H:%M} UTC")
        count = len(self._instances())
        if late:
            return Check(
                "sources_loaded", title, "failed", f"{len(late)} of {count} are behind: run the loads.", tuple(late)
            )
        return Check("sources_loaded", title, "passed", f"All {count} were.")

    def windows_complete(self) -> Check:
        title = "What was loaded is complete"
        found = self._rows(
            """
            select check_name, instance_id, resource, completeness_status, window_end_at, evidence
            from marts.mon_completeness
            where
                instance_id in (select unnest($instances))
                and window_end_at >= $first
                and (window_start_at is null or window_start_at <= $last)
            order by check_name, instance_id, resource, window_end_at
            """,
            instances=list(self._instances()),
        )
        by_status = Counter(row["completeness_status"] for row in found)
        reached = {
            row["instance_id"]
            for row in self._rows(
                "select instance_id from marts.mon_completeness "
                "where check_name = 'statement_chain' and window_end_at >= $last"
            )
        }
        banks = [bank.id for bank in self.settings.configuration.banks if bank.entity == self.entity.code]
        gaps = [
            f"{row['check_name']} of {row['instance_id']} {row['resource']} up to {row['window_end_at']:%Y-%m-%d}: "
            f"{row['evidence']}"
            for row in found
            if row["completeness_status"] == "gap"
        ]
        gaps += [f"no statement of {bank} reaches {self.period.last_day}" for bank in banks if bank not in reached]
        text = f"{by_status['proved']} windows proved complete, {by_status['not_provable']} not provable"
        if gaps:
            return Check("windows_complete", title, "failed", f"{len(gaps)} gaps; {text}.", tuple(gaps))
        return Check("windows_complete", title, "warning" if by_status["not_provable"] else "passed", f"{text}.")

    def invariants_hold(self) -> Check:
        """The gate's own queries, on the marts that the figures come from."""
        title = "What must hold before anything is posted holds"
        broken = []
        for invariant in INVARIANTS:
            offenders = self._rows(f"select * from ({invariant.offenders}) order by offending_key")  # noqa: S608
            broken += [f"{invariant.name}: {row['offending_key']} ({row['difference_amount']})" for row in offenders]
        if broken:
            return Check("invariants", title, "failed", f"Broken: {len(broken)} times.", tuple(broken))
        return Check("invariants", title, "passed", f"All {len(INVARIANTS)} invariants do.")

    def payouts_footed(self) -> Check:
        title = "Every payout is the sum of its lines"
        found = self._rows(
            """
            select
                gateway_id, currency_code, settlement_key, settlement_status, explained_by, accounting_date,
                gross_amount, fee_amount, refund_amount, dispute_amount, reserve_amount, other_amount, net_amount,
                residual_amount, unlisted_amount, balance_residual_amount
            from marts.rec_settlements
            where entity_code = $entity and accounting_date between $first and $last
            order by gateway_id, currency_code, accounting_date, settlement_key
            """
        )
        self.figures["payouts"] = [
            {
                "gateway_id": gateway,
                "currency_code": currency,
                "payouts": len(group),
                **{name: sum((row[name] for row in group), _ZERO) for name in _FOOTING},
            }
            for (gateway, currency), group in _grouped(found, "gateway_id", "currency_code")
        ]
        self.figures["payout_states"] = [
            {
                "gateway_id": gateway,
                "settlement_status": status,
                "currency_code": currency,
                "payouts": len(group),
                "net_amount": sum((row["net_amount"] for row in group), _ZERO),
            }
            for (gateway, status, currency), group in _grouped(
                found, "gateway_id", "settlement_status", "currency_code"
            )
        ]
        broken = [row for row in found if row["residual_amount"] or row["settlement_status"] == "residual"]
        broken += [row for row in found if row["explained_by"] == "nothing" and row not in broken]
        unsettled = [
            row
            for row in found
            if row["settlement_status"] not in ("reconciled", "in_transit", "pending", "residual") and row not in broken
        ]
        details = [
            f"{row['settlement_key']}: residual "
            + _money(row["residual_amount"] or row["balance_residual_amount"] or row["unlisted_amount"], row)
            for row in broken
        ]
        details += [
            f"{row['settlement_key']}: {row['settlement_status']}, {_money(row['net_amount'], row)}"
            for row in unsettled
        ]
        if broken:
            return Check(
                "payouts_footed", title, "failed", f"{len(broken)} of {len(found)} do not foot.", tuple(details)
            )
        if unsettled:
            text = f"All {len(found)} foot; {len(unsettled)} did not arrive as they should."
            return Check("payouts_footed", title, "warning", text, tuple(details))
        text = f"All {len(found)} foot, no residual." if found else "There were none."
        return Check("payouts_footed", title, "passed", text)

    def methods_served(self) -> Check:
        title = "What was paid came through a gateway that is read"
        found = self._rows(
            """
            select store_id, payment_method, currency_code, order_count, order_amount
            from marts.mon_unserved_payments
            where entity_code = $entity and period_month = $first
            order by store_id, payment_method, currency_code
            """
        )
        if not found:
            return Check("methods_served", title, "passed", "Every paid order's method has an account in retail.yaml.")
        details = tuple(
            f"{row['store_id']}: {row['order_count']} orders by {row['payment_method']}, "
            f"{_money(row['order_amount'], row)}"
            for row in found
        )
        text = "Orders were paid by methods that no gateway account serves; nothing of them is in the books."
        return Check("methods_served", title, "warning", text, details)

    def bank_explained(self) -> Check:
        title = "Bank lines are explained"
        found = self._rows(
            """
            select bank_line_key, bank_id, match_status, currency_code, bank_amount, remittance_text
            from marts.fct_bank_lines
            where entity_code = $entity and value_date between $first and $last
            order by bank_id, match_status, value_date, bank_line_key
            """
        )
        self.figures["bank"] = [
            {
                "bank_id": bank,
                "match_status": status,
                "currency_code": currency,
                "lines": len(group),
                "bank_amount": sum((row["bank_amount"] for row in group), _ZERO),
            }
            for (bank, status, currency), group in _grouped(found, "bank_id", "match_status", "currency_code")
        ]
        ours = [row for row in found if row["match_status"] in ("matched", "returned", "non_order")]
        others = [row for row in found if row["match_status"] == "unexplained"]
        open_ = [row for row in found if row not in ours and row not in others]
        text = f"{len(ours)} of {len(found)} belong to payouts"
        if others:
            text += f", {len(others)} are other business (rent, suppliers)"
        if not open_:
            return Check("bank_explained", title, "passed", f"{text}.")
        details = tuple(
            f"{row['bank_line_key']}: {row['match_status']}, {_money(row['bank_amount'], row)}, "
            f"{row['remittance_text'] or 'no text'}"
            for row in open_
        )
        return Check("bank_explained", title, "warning", f"{text}, {len(open_)} are undecided.", details)

    def clearing_is_the_balance(self) -> Check:
        title = "Clearing accounts are what the gateways hold"
        found = self._rows(
            """
            select gateway_id, currency_code, clearing_amount, gateway_balance_amount, difference_amount, has_balance
            from marts.rec_clearing
            where entity_code = $entity
            order by gateway_id, currency_code
            """
        )
        self.figures["clearing"] = found
        wrong = [row for row in found if row["difference_amount"]]
        silent = [row["gateway_id"] for row in found if not row["has_balance"]]
        if wrong:
            details = tuple(
                f"{row['gateway_id']}: ledger {_money(row['clearing_amount'], row)}, "
                f"gateway {_money(row['gateway_balance_amount'], row)}"
                for row in wrong
            )
            return Check("clearing_balance", title, "failed", f"{len(wrong)} of {len(found)} differ.", details)
        text = f"{len(found) - len(silent)} of {len(found)} agree to the cent, as of the last load."
        if silent:
            text += f" {', '.join(silent)} {'states' if len(silent) == 1 else 'state'} no balance."
        return Check("clearing_balance", title, "passed", text)

    def clearing_aged(self) -> Check:
        open_lines = self._rows(
            """
            select lines.gateway_id, lines.currency_code, lines.accounting_date as day, sum(lines.net_amount) as amount
            from marts.fct_settlement_lines as lines
            left join marts.rec_settlements as payouts on lines.settlement_key = payouts.settlement_key
            where
                lines.entity_code = $entity
                and lines.is_clearing
                and lines.line_type <> 'payout'
                and lines.accounting_date <= $last
                and (payouts.settlement_key is null or payouts.accounting_date > $last)
            group by lines.gateway_id, lines.currency_code, lines.accounting_date
            """
        )
        return self._aged("clearing", "gateway_clearing", "lines not paid out", open_lines)

    def transit_aged(self) -> Check:
        in_flight = self._rows(
            """
            with moved as (
                select settlement_key, gateway_id, currency_code, accounting_date as day, net_amount as amount
                from marts.rec_settlements
                where entity_code = $entity and accounting_date <= $last
                union all
                select payouts.settlement_key, payouts.gateway_id, payouts.currency_code, payouts.accounting_date,
                    case
                        when arrivals.currency_code = payouts.currency_code then -arrivals.matched_amount
                        else -payouts.net_amount
                    end
                from marts.fct_payout_arrivals as arrivals
                inner join marts.rec_settlements as payouts on arrivals.settlement_key = payouts.settlement_key
                where payouts.entity_code = $entity and arrivals.value_date <= $last
                union all
                select settlement_key, gateway_id, currency_code, accounting_date, -net_amount
                from marts.fct_settlement_lines
                where
                    entity_code = $entity
                    and is_clearing
                    and line_type = 'payout_reversal'
                    and accounting_date <= $last
            )

            select gateway_id, currency_code, min(day) as day, sum(amount) as amount
            from moved
            group by gateway_id, currency_code, settlement_key
            having sum(amount) <> 0
            """
        )
        return self._aged("transit", "cash_in_transit", "payouts on their way", in_flight)

    def _aged(self, code: str, role: str, of_what: str, open_items: list[Row]) -> Check:
        """A balance at the end of the month against the items that are open then, by account and age."""
        names = {"clearing": "Clearing", "transit": "Cash in transit"}
        title = f"{names[code]} at the end of the month is explained and aged"
        accounts = {
            (row["gateway_id"], row["account_code"])
            for row in self._rows(
                "select gateway_id, account_code from staging.account_mapping "
                "where entity_code = $entity and account_role = $role",
                role=role,
            )
        }
        default = next((account for gateway, account in sorted(accounts, key=str) if not gateway), None)
        account_of = {gateway: account for gateway, account in accounts if gateway}
        balances: dict[tuple[str, str], Row] = {}
        for row in self._rows(
            """
            select
                lines.account_code,
                lines.currency_code,
                sum(lines.debit_amount - lines.credit_amount) as ledger_amount
            from marts.acc_journal_lines as lines
            inner join marts.acc_journal_entries as entries on lines.entry_id = entries.entry_id
            where lines.entity_code = $entity and lines.account_role = $role and entries.posting_date <= $last
            group by lines.account_code, lines.currency_code
            """,
            role=role,
        ):
            key = (row["account_code"] or "unmapped", row["currency_code"])
            balances[key] = _aged_row(*key) | {"ledger_amount": row["ledger_amount"]}
        for item in open_items:
            key = (account_of.get(item["gateway_id"], default) or "unmapped", item["currency_code"])
            row = balances.setdefault(key, _aged_row(*key))
            row[_age(self.period.last_day, item["day"])] += item["amount"]
            row["open_amount"] += item["amount"]
            row["gateways"] = ", ".join(sorted({*filter(None, row["gateways"].split(", ")), item["gateway_id"]}))
        for row in balances.values():
            row["difference_amount"] = row["ledger_amount"] - row["open_amount"]
        self.figures[f"{code}_ageing"] = [balances[key] for key in sorted(balances)]
        wrong = [row for row in self.figures[f"{code}_ageing"] if row["difference_amount"]]
        old = [row for row in self.figures[f"{code}_ageing"] if any(row[label] for days, label in AGES if days is None)]
        if not wrong and not old:
            held = [
                f"{_money(row['ledger_amount'], row)} on {row['account_code']}"
                for row in balances.values()
                if row["ledger_amount"]
            ]
            text = f"{' and '.join(sorted(held))}: all of it {of_what}." if held else "Nothing is open."
            return Check(f"{code}_aged", title, "passed", text)
        details = [
            f"{row['account_code']}: ledger {_money(row['ledger_amount'], row)}, {of_what} "
            f"{_money(row['open_amount'], row)}, unexplained {_money(row['difference_amount'], row)}"
            for row in wrong
        ]
        details += [f"{row['account_code']}: {_money(row[AGES[-1][1]], row)} is older than 60 days" for row in old]
        text = f"{len(wrong)} of {len(balances)} balances are not explained by {of_what}" if wrong else "Items are old"
        return Check(f"{code}_aged", title, "warning", f"{text}.", tuple(details))

    def tax_agrees(self) -> Check:
        title = "Tax agrees between store, engine and ledger"
        found = self._rows(
            """
            select
                tax_jurisdiction, currency_code, store_tax_amount, engine_tax_amount, ledger_tax_amount,
                store_difference_amount, ledger_difference_amount, not_booked_amount, tax_status
            from marts.rec_tax
            where entity_code = $entity and period_month = $first
            order by tax_jurisdiction, currency_code
            """
        )
        self.figures["tax"] = found
        books = [row for row in found if row["tax_status"] == "engine_vs_ledger"]
        store = [row for row in found if row["tax_status"] == "store_vs_engine"]
        details = tuple(
            f"{row['tax_jurisdiction']}: store {_money(row['store_tax_amount'], row)}, "
            f"engine {_money(row['engine_tax_amount'], row)}, ledger {_money(row['ledger_tax_amount'], row)}"
            for row in books + store
        )
        if books:
            text = f"In {len(books)} of {len(found)} jurisdictions the ledger has another tax than the engine."
            return Check("tax", title, "failed", text, details)
        if store:
            text = f"In {len(store)} of {len(found)} jurisdictions the store charged another tax than the engine has."
            return Check("tax", title, "warning", text, details)
        unproved = [row["tax_jurisdiction"] for row in found if row["tax_status"] == "no_engine"]
        text = f"{len(found) - len(unproved)} of {len(found)} jurisdictions agree."
        if unproved:
            text += f" No engine covers {', '.join(unproved)}."
        waiting = sum(1 for row in found if row["not_booked_amount"])
        if waiting:
            text += f" In {waiting}, sales that are not recognised yet are missing in the ledger."
        return Check("tax", title, "passed", text)

    def gift_cards_agree(self) -> Check:
        title = "Gift cards: what is owed is what the books owe"
        found = self._rows(
            """
            select
                currency_code, period_month, opening_amount, issued_amount, redeemed_amount, voided_amount,
                returned_amount, closing_amount, ledger_amount, ledger_difference_amount, not_booked_amount,
                is_opening_known, gift_card_status
            from marts.rec_gift_cards
            where entity_code = $entity and period_month <= $first
            qualify row_number() over (partition by currency_code order by period_month desc) = 1
            order by currency_code
            """
        )
        self.figures["gift_cards"] = found
        wrong = [row for row in found if row["gift_card_status"] in ("ledger_difference", "overdrawn")]
        unclear = [row for row in found if row not in wrong and row["gift_card_status"] != "matched"]
        details = tuple(
            f"{row['currency_code']}: {row['gift_card_status']}, owed {_money(row['closing_amount'], row)}, "
            f"ledger {_money(row['ledger_amount'], row)}"
            for row in wrong + unclear
        )
        if wrong:
            return Check("gift_cards", title, "failed", f"{len(wrong)} of {len(found)} differ.", details)
        if unclear:
            return Check("gift_cards", title, "warning", f"{len(unclear)} of {len(found)} wait for others.", details)
        if not found:
            return Check("gift_cards", title, "passed", "There are none.")
        owed = ", ".join(_money(row["ledger_amount"], row) for row in found)
        text = f"The liability is {owed}."
        if not all(row["is_opening_known"] for row in found):
            text += " What was owed on cards sold before our records is not configured."
        return Check("gift_cards", title, "passed", text)

    def exceptions_settled(self) -> Check:
        title = "Exceptions of the month, and of earlier ones, are settled"
        found = self._rows(
            """
            select
                raised.exception_type,
                raised.severity,
                raised.owner,
                coalesce(types.blocks_close, false) as blocks_close,
                raised.currency_code,
                count(*) as exceptions,
                sum(raised.amount_at_risk) as amount_at_risk,
                min(raised.opened_at) as oldest_at
            from marts.rec_exceptions as raised
            left join staging.exception_types as types on raised.exception_type = types.exception_type
            where
                (raised.entity_code = $entity or raised.entity_code is null)
                and raised.status = 'open'
                and raised.opened_at < $ends_at
            group by
                raised.exception_type, raised.severity, raised.owner, coalesce(types.blocks_close, false),
                raised.currency_code
            order by blocks_close desc, raised.exception_type, raised.currency_code
            """,
            ends_at=self.ends_at.replace(tzinfo=None),
        )
        for row in found:
            # Whole days until the month ended.
            row["oldest_days"] = (self.ends_at.replace(tzinfo=None) - row.pop("oldest_at")).days
        self.figures["exceptions"] = found
        details = tuple(
            f"{row['exceptions']} × {row['exception_type']}"
            + (f", {_money(row['amount_at_risk'], row)} at risk" if row["currency_code"] else "")
            + f", oldest {row['oldest_days']} days ({row['owner']})"
            + (", blocks" if row["blocks_close"] else "")
            for row in found
        )
        blocking = sum(row["exceptions"] for row in found if row["blocks_close"])
        total = sum(row["exceptions"] for row in found)
        if blocking:
            return Check("exceptions", title, "failed", f"Open: {total}, of which {blocking} block the close.", details)
        if total:
            return Check("exceptions", title, "warning", f"Open: {total}, none of a type that blocks.", details)
        return Check("exceptions", title, "passed", "None is open.")

    def plan_is_empty(self) -> Check:
        title = "Nothing is left to be posted"
        left = [item for item in self.plan.items if item.entry.posting_date <= self.period.last_day]
        if not left:
            return Check("plan_empty", title, "passed", "The plan is empty for this month and all before it.")
        details = tuple(f"{item.posting_key}: {item.reason}" for item in left)
        return Check("plan_empty", title, "failed", f"{len(left)} documents: post them first (retail post).", details)

    def held_entries(self) -> Check:
        title = "Entries that are held are known"
        dated = {
            row["entry_id"]: row
            for row in self._rows(
                """
                select entry_id, posting_date, base_total_amount, base_currency_code as currency_code
                from marts.acc_journal_entries
                where entity_code = $entity and entry_id in (select unnest($held))
                """,
                held=[held.entry_id for held in self.plan.held],
            )
        }
        # What nobody wants any more has no date; it stands in the books, though not as it was posted.
        last_day = self.period.last_day
        held = [
            one
            for one in self.plan.held
            if one.entry_id not in dated or dated[one.entry_id]["posting_date"] <= last_day
        ]
        self.figures["held"] = [
            {
                "entry_id": one.entry_id,
                "reason": one.reason,
                "exception_id": one.exception_id,
                **{
                    name: dated[one.entry_id][name] if one.entry_id in dated else None
                    for name in ("posting_date", "base_total_amount", "currency_code")
                },
            }
            for one in held
        ]
        details = tuple(
            f"{row['entry_id']}: {row['reason']}"
            + (f" ({_money(row['base_total_amount'], row)})" if row["currency_code"] else "")
            for row in self.figures["held"]
        )
        undecided = [one for one in held if one.exception_id is None]
        if undecided:
            text = f"Held: {len(held)}, of which {len(undecided)} by a fault or by a decision that is due."
            return Check("held_entries", title, "failed", text, details)
        if held:
            text = f"Held by open exceptions: {len(held)}. They will be dated in the month in which they are released."
            return Check("held_entries", title, "warning", text, details)
        return Check("held_entries", title, "passed", "None is held.")

    def books_are_the_ledger(self) -> Check:
        """The sums of what was posted, added up from the documents, against those of the desired ledger."""
        title = "The books are the ledger, account by account"
        held = {one.entry_id for one in self.plan.held}
        balance: dict[str, Row] = {}
        compared: dict[str, Decimal] = defaultdict(Decimal)
        for posting in self.posted:
            for account, debit, credit in _posted_lines(posting):
                row = balance.setdefault(account, _account_row(account, self.entity.base_currency))
                if posting.posting_date < self.period.first_day:
                    row["opening_amount"] += debit - credit
                else:
                    row["debit_amount"] += debit
                    row["credit_amount"] += credit
                if posting.entry_id not in held:
                    compared[account] -= debit - credit
        for row in self._rows(
            """
            select lines.account_code, sum(lines.base_debit_amount - lines.base_credit_amount) as amount
            from marts.acc_journal_lines as lines
            inner join marts.acc_journal_entries as entries on lines.entry_id = entries.entry_id
            where
                lines.entity_code = $entity
                and entries.posting_status = 'ready'
                and entries.posting_date <= $last
                and entries.entry_id not in (select unnest($held))
            group by lines.account_code
            """,
            held=sorted(held),
        ):
            compared[row["account_code"]] += row["amount"]
        for row in balance.values():
            row["closing_amount"] = row["opening_amount"] + row["debit_amount"] - row["credit_amount"]
        names = self._account_names()
        self.figures["trial_balance"] = [
            balance[account] | {"account_name": names.get(account, "")} for account in sorted(balance)
        ]
        debits = sum((row["debit_amount"] for row in balance.values()), _ZERO)
        credits_ = sum((row["credit_amount"] for row in balance.values()), _ZERO)
        currency = {"currency_code": self.entity.base_currency}
        wrong = [f"{account}: {_money(amount, currency)}" for account, amount in sorted(compared.items()) if amount]
        if debits != credits_:
            wrong.append(f"debits are {_money(debits, currency)}, credits {_money(credits_, currency)}")
        if wrong:
            return Check("books", title, "failed", f"{len(wrong)} differences.", tuple(wrong))
        text = f"{_money(debits, currency)} on {len(balance)} accounts; debits are credits."
        return Check("books", title, "passed", text)

    def attested(self) -> Check:
        title = "The ERP still holds what was posted"
        documents = [
            posting.posting_key
            for posting in outbox.postings(
                self.operations, entity_code=self.entity.code, states=(outbox.POSTED, outbox.FAILED)
            )
            if posting.erp_document is not None
            and posting.error_code != CANCELLED_AT_ERP
            and posting.posting_date <= self.period.last_day
        ]
        found = {row.posting_key: row for row in attestations.attested(self.operations, entity_code=self.entity.code)}
        looked_at = [found[key] for key in documents if key in found]
        bad = [row for row in looked_at if row.state in ("differs", "missing")]
        unseen = len(documents) - sum(row.checked_at >= self.ends_at for row in looked_at)
        unreadable = sum(row.state == "unreadable" for row in looked_at)
        details = tuple(f"{row.posting_key}: {row.state}: {row.detail or ''}" for row in bad)
        if bad:
            text = f"{len(bad)} of {len(documents)} documents are not as they were posted."
            return Check("attested", title, "failed", text, details)
        if unseen:
            text = f"Not attested since the month ended: {unseen} of {len(documents)} documents (retail attest)."
            return Check("attested", title, "failed", text)
        text = f"All {len(documents)} documents up to the end of the month were read back after it."
        if unreadable:
            return Check("attested", title, "warning", f"{text} {unreadable} could not be read.")
        return Check("attested", title, "passed", text)

    def evidence_whole(self) -> Check:
        title = "The audit chain is whole"
        found = [problem.message for problem in audit.verify(self.operations, self.settings.audit_anchor_path)]
        found += periods.contradictions(self.operations)
        if found:
            return Check("evidence", title, "failed", f"{len(found)} breaks: see retail verify.", tuple(found))
        return Check("evidence", title, "passed", "No entry is missing or changed.")

    def _bridge(self) -> list[Row]:
        sums = ", ".join(f"sum({name}) as {name}" for _, columns, _ in BRIDGE for name in columns)
        found = self._rows(
            f"""
            select currency_code, {sums}
            from marts.rec_gross_to_net
            where entity_code = $entity and activity_date between $first and $last
            group by currency_code
            order by currency_code
            """  # noqa: S608 -- names from a constant
        )
        steps = []
        for row in found:
            for label, columns, is_total in BRIDGE:
                amount = sum((row[name] * sign for name, sign in columns.items()), _ZERO)
                if is_total or amount:
                    steps.append(
                        {
                            "currency_code": row["currency_code"],
                            "step": label.strip(),
                            "amount": amount,
                            "is_total": is_total,
                        }
                    )
        return steps

    def _account_names(self) -> dict[str, str]:
        found = self._rows("select account_code, account_name from marts.dim_accounts where entity_code = $entity")
        return {row["account_code"]: row["account_name"] for row in found}

    def _instances(self) -> tuple[str, ...]:
        """Every source that this entity's books depend on."""
        return tuple(item.id for item in self.settings.configuration.sources_of(self.entity.code))

    def _rows(self, query: str, **parameters: Any) -> list[Row]:
        known = {
            "entity": self.entity.code,
            "first": self.period.first_day,
            "last": self.period.last_day,
            **parameters,
        }
        cursor = self.warehouse.execute(query, {name: value for name, value in known.items() if f"${name}" in query})
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


_FOOTING: Final = (
    "gross_amount",
    "fee_amount",
    "refund_amount",
    "dispute_amount",
    "reserve_amount",
    "other_amount",
    "residual_amount",
    "unlisted_amount",
    "net_amount",
)


def _posted_lines(posting: Posting) -> Iterator[tuple[str, Decimal, Decimal]]:
    for line in from_payload(posting.payload).lines:
        yield line.account_code, line.base_debit, line.base_credit


def _account_row(account_code: str, currency_code: str) -> Row:
    amounts = dict.fromkeys(("opening_amount", "debit_amount", "credit_amount"), _ZERO)
    return {"account_code": account_code, "currency_code": currency_code, **amounts}


def _aged_row(account_code: str, currency_code: str) -> Row:
    amounts = dict.fromkeys(("ledger_amount", "open_amount", *(label for _, label in AGES)), _ZERO)
    return {"account_code": account_code, "currency_code": currency_code, "gateways": "", **amounts}


def _age(last_day: date, day: date) -> str:
    age = (last_day - day) / timedelta(days=1)
    return next(label for days, label in AGES if days is None or age <= days)


def _grouped(found: Iterable[Row], *names: str) -> list[tuple[tuple[Any, ...], list[Row]]]:
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in found:
        groups[tuple(row[name] for name in names)].append(row)
    return sorted(groups.items(), key=lambda group: tuple(map(str, group[0])))


def _money(amount: Decimal | None, row: Row) -> str:
    return "unknown" if amount is None else f"{money(amount, row['currency_code'])} {row['currency_code']}"
