"""Makes the simulated retailer: the state its servers read, the bank's files, and the ground truth.

The same parameters give the same bytes: every choice comes from a generator seeded by them, and no clock is read.
"""

import os
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec

from retail_assets.sandbox import bank as banking
from retail_assets.sandbox import threepl
from retail_assets.sandbox.aftermath import TaxRecorder, Warehouse
from retail_assets.sandbox.calendars import DAY, PayoutCalendar, PayoutDays, midnight
from retail_assets.sandbox.catalogue import (
    customer_record,
    customers,
    product_records,
    products,
    tax_records,
    variation_records,
)
from retail_assets.sandbox.channels import ChannelAccount, provider_of
from retail_assets.sandbox.erp_seed import add_deliveries, erp_seed
from retail_assets.sandbox.history import StoreHistory, Watcher
from retail_assets.sandbox.journals import TrueBooks
from retail_assets.sandbox.ledgers import GatewayLedger
from retail_assets.sandbox.minor import text
from retail_assets.sandbox.orders import OrderMaker
from retail_assets.sandbox.payments import LedgerLine, Payout, StripeAccount
from retail_assets.sandbox.plan import SHORTEST_DAYS, AccountCase, Planner, Window, share_cases, share_orders
from retail_assets.sandbox.profiles import (
    BANKS,
    CHANNELS,
    ENTITIES,
    ERP_SHIPS_FOR,
    LOGISTICS,
    STORES,
    TAX_ENGINES,
    BankProfile,
    ChannelProfile,
    GatewayProfile,
    StoreProfile,
    channels_of,
    gateway_of,
)
from retail_assets.sandbox.rates import ExchangeRates
from retail_assets.sandbox.stocking import Shelf, last_movements
from retail_assets.sandbox.storage import StateFile, encode, gateway_file, store_file
from retail_assets.sandbox.truth import TruthWriter, writing_truth

DEFAULT_AS_OF: Final = datetime(2026, 11, 5, 12, tzinfo=UTC)
WORLD_FILE: Final = "world.json"
SEED_FILE: Final = "erp_seed.json"
#: The ERP's warehouse keeps the delivery notes of the latest orders; a large world would fill it for minutes.
_ERP_DELIVERIES: Final = 100
#: A movement this old should be shown by the store.
_SHOWN_AFTER: Final = timedelta(hours=3)
#: The account of which one payout comes back, and how far into the simulated time.
_FAILS_ONCE: Final = "stripe_us"
_FAILING: Final = 0.4

#: Called with what is being made, how many are done and how many there will be.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Parameters:
    """What decides a world, down to the last byte."""

    seed: int = 7
    orders: int = 300
    days: int = 45
    as_of: datetime = DEFAULT_AS_OF

    def checked(self) -> "Parameters":
        """These parameters with ``as_of`` in UTC.

        Raises:
            ValueError: a parameter is out of range.
        """
        if self.as_of.tzinfo is None:
            raise ValueError("as_of needs a time zone, for example 2026-11-05T12:00:00Z")
        if self.days < SHORTEST_DAYS:
            raise ValueError(f"days must be at least {SHORTEST_DAYS}: refunds and disputes take time")
        if self.orders < 3:
            raise ValueError("orders must be at least 3: one per store")
        return Parameters(self.seed, self.orders, self.days, self.as_of.astimezone(UTC).replace(microsecond=0))


@dataclass(frozen=True, slots=True)
class World:
    """A generated world: its parameters and what it holds."""

    seed: int
    orders: int
    days: int
    as_of: str
    counts: dict[str, int]
    cases: dict[str, int]


def generate(
    home: Path,
    *,
    seed: int = 7,
    orders: int = 300,
    days: int = 45,
    as_of: datetime = DEFAULT_AS_OF,
    progress: Progress | None = None,
) -> World:
    """Make a world in ``home``: replace ``sandbox/`` (the simulated ERP starts empty) and drop the bank's files.

    The statements go to ``inbox/<bank folder>/``; those of an earlier world are removed.

    Args:
        home: RETAIL_HOME.
        seed: seed of every choice.
        orders: orders over all stores.
        days: length of the simulated time, which ends at ``as_of``.
        as_of: end of the simulated time.
        progress: told how far it is.

    Raises:
        ValueError: a parameter is out of range.
    """
    parameters = Parameters(seed, orders, days, as_of).checked()
    folder, part = home / "sandbox", home / "sandbox.part"
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    maker = _WorldMaker(part, parameters, progress or (lambda stage, done, total: None))
    statements = maker.make()
    shutil.rmtree(folder, ignore_errors=True)
    part.replace(folder)
    for bank_id, written in statements.items():
        inbox = home / "inbox" / bank_id
        clear_statements(inbox, bank_id)
        for statement in written:
            banking.write_statement(statement, inbox)
    _drop_reports(home, maker.ledgers)
    for provider_id in LOGISTICS:
        maker.drop_parcels(provider_id, _emptied(home / "inbox" / provider_id))
    world = World(seed, orders, days, _iso(parameters.as_of), maker.counts, maker.cases)
    # Written last: a world without it is not finished.
    (folder / WORLD_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(asdict(world)), indent=2) + b"\n")
    return world


def read_world(home: Path) -> World | None:
    """The world in ``home``, or None if there is none or it was not finished."""
    path = home / "sandbox" / WORLD_FILE
    return msgspec.json.decode(path.read_bytes(), type=World) if path.exists() else None


def clear_statements(inbox: Path, bank_id: str) -> None:
    """Remove the statements of an earlier world from a bank's folder; other files stay."""
    for pattern in (f"{bank_id}_*.xml", f".{bank_id}_*.part"):
        for path in inbox.glob(pattern):
            path.unlink()


def _drop_reports(home: Path, ledgers: list[GatewayLedger]) -> None:
    """Drop the settlement files of the accounts whose providers deliver files; those of an earlier world go first."""
    for ledger in ledgers:
        profile = CHANNELS[ledger.gateway_id]
        if not profile.credentials:
            written = provider_of(profile).write_files(ledger, _emptied(home / "inbox" / ledger.gateway_id))
            if profile.system == "adyen":
                _download_again(written)


def _download_again(reports: list[Path]) -> None:
    """The first report once more, as a browser names it and with its rows in another order."""
    for report in reports[:1]:
        header, *rows = report.read_text(encoding="utf-8").splitlines(keepends=True)
        again = report.with_name(f"{report.stem} (1){report.suffix}")
        again.write_text("".join([header, *reversed(rows)]), encoding="utf-8", newline="")
        moment = report.stat().st_mtime
        os.utime(again, (moment, moment))


def _emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def documents_file(engine_id: str) -> str:
    """Name of the file with the documents of a tax engine, below ``sandbox/``."""
    return f"{engine_id}.documents.json"


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class _Paid:
    """What a gateway account paid out: its payouts, the name the bank knows it by, and the books they go into."""

    gateway_id: str
    payer: str
    payouts: list[Payout]
    books: TrueBooks


class _WorldMaker:
    """Makes one world into an empty folder."""

    def __init__(self, folder: Path, parameters: Parameters, progress: Progress) -> None:
        self._folder = folder
        self._parameters = parameters
        self._progress = progress
        self._window = Window(parameters.as_of - timedelta(days=parameters.days), parameters.as_of)
        self._done = 0
        self._first_day = self._window.start.date()
        self._rates = ExchangeRates(self._first_day, parameters.as_of.date(), self._rng("rates"))
        self.counts: dict[str, int] = {}
        self.cases: dict[str, int] = {}
        self.ledgers: list[GatewayLedger] = []
        self._tax = {key: TaxRecorder(one, STORES[one.store_id].zone) for key, one in TAX_ENGINES.items()}
        shipping = dict.fromkeys([ERP_SHIPS_FOR, *(one.store_id for one in LOGISTICS.values())])
        self._warehouses = {store_id: Warehouse(self._window.last) for store_id in shipping}

    def _rng(self, part: str) -> Random:
        # A generator of its own for each part, so that a change in one does not stir the others.
        return Random(f"{self._parameters.seed}/{part}")

    def make(self) -> dict[str, list[banking.Statement]]:
        parameters = self._parameters
        header = {
            "seed": parameters.seed,
            "as_of": _iso(parameters.as_of),
            "orders": parameters.orders,
            "days": parameters.days,
        }
        counts, cases = share_orders(parameters.orders), share_cases(parameters.orders)
        statements: dict[str, list[banking.Statement]] = {}
        with writing_truth(self._folder, header) as truth:
            for store_id, store in STORES.items():
                gateway = gateway_of(store_id)
                paid = self._store(store, gateway, counts[store_id], cases[store_id], truth)
                statements[gateway.bank_id] = self._bank(BANKS[gateway.bank_id], paid, truth)
            self._write_seed(truth)
        self._progress("orders", parameters.orders, parameters.orders)
        for ledger in self.ledgers:
            (self._folder / f"{ledger.gateway_id}.ledger.json").write_bytes(msgspec.json.encode(ledger))
        for engine_id, recorder in self._tax.items():
            documents = recorder.documents()
            (self._folder / documents_file(engine_id)).write_bytes(msgspec.json.encode(documents))
            self.counts["tax_documents"] = self.counts.get("tax_documents", 0) + len(documents)
        self.counts["bank_statements"] = sum(len(written) for written in statements.values())
        self.counts["bank_lines"] = sum(len(one.entries) for written in statements.values() for one in written)
        self.counts["truth_exceptions"] = len(truth.exceptions)
        return statements

    def drop_parcels(self, provider_id: str, inbox: Path) -> None:
        """Drop what a logistics provider reports of the orders it shipped."""
        profile = LOGISTICS[provider_id]
        warehouse = self._warehouses[profile.store_id]
        shipments = warehouse.shipments(profile.carrier)
        self.counts["shipment_lines"] = self.counts.get("shipment_lines", 0) + len(shipments)
        levels = warehouse.counts(self._first_day)
        threepl.write_files(shipments, inbox, returns=warehouse.returns(), levels=levels)

    def _write_seed(self, truth: TruthWriter) -> None:
        seed = erp_seed(self._rates, self._first_day, self._rng("erp"))
        store, warehouse = STORES[ERP_SHIPS_FOR], self._warehouses[ERP_SHIPS_FOR]
        company = ENTITIES[store.entity_code].company
        shipped, reserved = warehouse.erp_lines(company, _ERP_DELIVERIES), warehouse.reserved()
        shelf = Shelf(
            self._folder / f"{ERP_SHIPS_FOR}.sqlite", ERP_SHIPS_FOR, reserved=reserved,
            moved=last_movements(shipped), settled=self._parameters.as_of - _SHOWN_AFTER,
            # Where no order has a case, no article has one.
            rng=self._rng("stock") if truth.cases else None,
        )  # fmt: skip
        seed = add_deliveries(seed, shipped, in_stock=shelf.on_hand, reserved=reserved)
        (self._folder / SEED_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(seed), indent=1) + b"\n")
        for planted in shelf.show():
            self.cases[planted.case.value] = self.cases.get(planted.case.value, 0) + 1
            case = {
                "case": planted.case.value, "order_key": None, "settlement_line_key": None, "settlement_key": None
            }  # fmt: skip
            truth.cases.append(case)
            truth.exceptions.append(
                case | {
                    "exception_type": planted.case.value, "subject": planted.product_key, "amount": planted.amount,
                    "currency_code": store.currency, "shown": planted.shown,
                }
            )  # fmt: skip

    def _watchers(self, store_id: str) -> list[Watcher]:
        tax = [self._tax[engine_id] for engine_id, one in TAX_ENGINES.items() if one.store_id == store_id]
        return [*tax, *(warehouse for key, warehouse in self._warehouses.items() if key == store_id)]

    def _store(
        self, store: StoreProfile, gateway: GatewayProfile, count: int, cases: list[Any], truth: TruthWriter
    ) -> list[_Paid]:
        parameters, window = self._parameters, self._window
        payout_days = self._payout_days(gateway.calendar)
        rng = self._rng(store.store_id)
        planner = Planner(store, gateway, window, payout_days, rng)
        plans = planner.plan(count, cases)
        channels = channels_of(store.store_id)
        planner.share_channels(plans, channels, self._rng(f"{store.store_id}/channels"))
        accounts = {
            channel.gateway_id: ChannelAccount(channel, self._payout_days(channel.calendar, self._shown_until(channel)))
            for channel in channels
        }
        goods, people = products(store), customers(store, max(8, count // 3), self._rng(f"{store.store_id}/customers"))
        books = TrueBooks(ENTITIES[store.entity_code], gateway, self._rates, truth.journal)
        with ExitStack() as stack:
            store_state: StateFile = stack.enter_context(store_file(self._folder / f"{store.store_id}.sqlite"))
            gateway_state: StateFile = stack.enter_context(gateway_file(self._folder / f"{gateway.gateway_id}.sqlite"))
            self._catalogue(store, store_state, people)
            account = StripeAccount(gateway, payout_days, window.last, gateway_state, self._rng(gateway.gateway_id))
            maker = OrderMaker(store, goods, people, self._rng(f"{store.store_id}/orders"))
            history = StoreHistory(
                store, maker, account, books, self._rates, store_state, window.last, rng, accounts,
                self._watchers(store.store_id),
            )  # fmt: skip
            for plan in plans:
                history.play(plan)
                self._done += 1
                if self._done % 1000 == 0:
                    self._progress("orders", min(self._done, parameters.orders), parameters.orders)
            for month_start in self._month_starts():
                history.standalone_fee(int(month_start.timestamp()))
            # Where no order has a case, no account has one.
            if cases:
                history.plant_account_cases(window)
            failing = _FAILING if cases and gateway.gateway_id == _FAILS_ONCE else None
            payouts, payout_of = account.pay_out(failing=failing)
            for payout in payouts:
                history.payout_failed(payout)
        self._settle(gateway, account.available + account.pending, history.lines, payout_of, truth)
        for found in history.findings:
            truth.cases.append(found.case_record(gateway.gateway_id, payout_of))
            if found.exception_type:
                truth.exceptions.append(found.exception_record(gateway.gateway_id, payout_of))
            self.cases[found.case.value] = self.cases.get(found.case.value, 0) + 1
        for name, number in (history.counts | account.counts).items():
            self.counts[name] = self.counts.get(name, 0) + number
        if books.clearing != account.available + account.pending + sum(payout.amount for payout in payouts):
            raise AssertionError(f"the true clearing account of {gateway.gateway_id} is not the gateway's balance")
        channel_paid = [self._channel(one, history, truth) for one in accounts.values()]
        return [_Paid(gateway.gateway_id, "STRIPE", payouts, books), *channel_paid]

    def _payout_days(self, calendar: PayoutCalendar, until: datetime | None = None) -> PayoutDays:
        every_day = calendar.days(self._first_day, self._parameters.as_of.date() + DAY)
        last = until or self._parameters.as_of
        return PayoutDays([day for day in every_day.days if day.created_at <= last])

    def _shown_until(self, profile: ChannelProfile) -> datetime:
        """Up to when the provider tells what happened: PayPal's reports are some hours behind."""
        return self._parameters.as_of - getattr(provider_of(profile), "LAG", timedelta(0))

    def _channel(self, account: ChannelAccount, history: StoreHistory, truth: TruthWriter) -> _Paid:
        """Close another gateway's account: its truth, and its ledger for the provider's module to write."""
        profile, provider = account.profile, provider_of(account.profile)
        ledger, day_of = account.close()
        self.ledgers.append(ledger)
        books = TrueBooks(ENTITIES[profile.entity_code], profile, self._rates, truth.journal)
        payout_of: dict[int, str] = {payout.serial: provider.payout_id_of(payout) for payout in ledger.payouts}
        lines: list[LedgerLine] = []
        reported: set[int] = set()
        shown_until = self._shown_until(profile).timestamp()
        for movement in ledger.movements:
            key = (profile.gateway_id, movement.serial)
            order = history.channel_orders[key]
            is_sale = movement.kind == "sale"
            if not is_sale and movement.refund_of in reported:
                # The store's own record is enough for a credit note, once the sale is in the books.
                books.refund(history.channel_refunds[key], held=False)
            if movement.at > shown_until or (profile.reports_paid_out_only and movement.payout is None):
                continue
            reported.add(movement.serial)
            line = LedgerLine(
                provider.line_id_of(movement), movement.at, movement.amount, movement.fee,
                "charge" if is_sale else "refund", order.key, movement.payout or 0,
            )  # fmt: skip
            lines.append(line)
            if is_sale:
                books.sale(order, movement.at, held=False)
                books.charge_line(line, order)
            else:
                books.refund_line(line)
        paid_out = sum(payout.amount for payout in ledger.payouts)
        self._settle(profile, sum(line.net for line in lines) - paid_out, lines, payout_of, truth)
        as_of = self._parameters.as_of
        payouts = [
            Payout(
                payout_of[payout.serial], payout.amount, day_of[payout.serial], "",
                midnight(payout.arrival) > as_of,
            )
            for payout in ledger.payouts
        ]  # fmt: skip
        for name, number in (("channel_lines", len(lines)), ("payouts", len(payouts))):
            self.counts[name] = self.counts.get(name, 0) + number
        return _Paid(profile.gateway_id, profile.bank_name, payouts, books)

    def _month_starts(self) -> list[datetime]:
        day, found = self._first_day, []
        while day <= self._parameters.as_of.date():
            if day.day == 1:
                found.append(datetime(day.year, day.month, 1, 6, tzinfo=UTC))
            day += timedelta(days=1)
        return found

    def _catalogue(self, store: StoreProfile, state: StateFile, people: list[Any]) -> None:
        opened = self._window.start.replace(hour=9, minute=0, second=0) - timedelta(days=200)
        resources = {
            "products": product_records(store, opened),
            "variations": variation_records(store, opened),
            "taxes": tax_records(store),
            "customers": (customer_record(store, person, opened) for person in people),
        }
        for resource, records in resources.items():
            for record in records:
                created = record.get("date_created_gmt")
                modified = record.get("date_modified_gmt") or created
                state.add(
                    "documents", resource, record["id"], record.get("parent_id", 0), _unix(created), _unix(modified),
                    encode(record),
                )  # fmt: skip

    def _settle(
        self, gateway: GatewayProfile | ChannelProfile, balance: int, lines: list[LedgerLine],
        payout_of: dict[int, str], truth: TruthWriter,
    ) -> None:  # fmt: skip
        for line in lines:
            key = f"{gateway.gateway_id}:{line.id}"
            truth.link(key, line.order_key, line.line_type, payout_of.get(line.slot))
        truth.balances.append(
            {
                "gateway_id": gateway.gateway_id,
                "currency_code": gateway.currency,
                "amount": text(balance, gateway.currency),
            }
        )

    def _plant(self, case: AccountCase, paid: _Paid, payout: Payout, truth: TruthWriter) -> None:
        """A payout that is on the bank in an unusual way."""
        self.cases[case.value] = self.cases.get(case.value, 0) + 1
        truth.cases.append(
            {
                "case": case.value,
                "order_key": None,
                "settlement_line_key": None,
                "settlement_key": f"{paid.gateway_id}:{payout.id}",
            }
        )

    def _bank(self, bank: BankProfile, paid: list[_Paid], truth: TruthWriter) -> list[banking.Statement]:
        # A statement is made the morning after its day.
        last_day: date = self._parameters.as_of.date() - timedelta(days=1)
        rng = self._rng(bank.bank_id)
        entries: list[banking.BankEntry] = []
        for one in paid:
            entries += banking.payout_entries(bank, one.payouts, last_day, rng, one.payer)
        taken = {payout.amount for one in paid for payout in one.payouts}
        entries += banking.other_entries(bank, self._first_day, last_day, taken, rng)
        statements = banking.make_statements(bank, entries, self._first_day, last_day)
        lines = banking.payout_lines(statements)
        payouts_of = Counter(line for found in lines.values() for line in found)
        for one, payout in [(account, payout) for account in paid for payout in account.payouts]:
            one.books.payout(payout)
            found = lines.get(payout.id, [])
            # Of several the first stands for all.
            line = found[0] if found else None
            for part in found if len(found) > 1 else []:
                key = f"{bank.bank_id}:{part.statement_id}:{part.entry_number}"
                one.books.arrival(payout, part.value_date, part=part.amount, line_key=key)
            if line and len(found) == 1:
                one.books.arrival(payout, line.value_date)
            if line and (len(found) > 1 or payouts_of[line] > 1):
                self._plant(AccountCase.SPLIT if len(found) > 1 else AccountCase.DEPOSIT, one, payout, truth)
            truth.payouts.append(
                {
                    "settlement_key": f"{one.gateway_id}:{payout.id}",
                    "amount": text(payout.amount, bank.currency),
                    "currency_code": bank.currency,
                    "created_on": payout.day.local_date.isoformat(),
                    "arrival_date": payout.day.arrival_date.isoformat(),
                    "in_transit": payout.in_transit,
                    "bank_line": None
                    if line is None
                    else {
                        "bank_id": bank.bank_id,
                        "statement_id": line.statement_id,
                        "entry_number": line.entry_number,
                        "value_date": line.value_date.isoformat(),
                    },
                }
            )
            if line and payout.day.local_date.month != line.value_date.month:
                self.cases["payout_across_month_end"] = self.cases.get("payout_across_month_end", 0) + 1
        return statements


def _unix(moment: str | None) -> int:
    return int(datetime.fromisoformat(f"{moment}+00:00").timestamp()) if moment else 0
