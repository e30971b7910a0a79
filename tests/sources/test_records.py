"""Records as received to Arrow tables that keep their contract: exactly, completely, or rejected with the reason."""

import hashlib
import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retail_assets.contracts import TABLES, table
from retail_assets.sources.records import Batch, convert, from_rows
from retail_assets.sources.schema import table_schema
from tests.support.replay import RECORDED

NOW = datetime(2026, 11, 5, 12, tzinfo=UTC)
ORDERS = table("woocommerce", "orders")
LINES = table("woocommerce", "order_lines")
REFUNDS = table("woocommerce", "refunds")
LEDGER = table("stripe", "balance_transactions")


def recorded(*names: str) -> list[bytes]:
    decode = msgspec.json.Decoder(list[msgspec.Raw]).decode
    return [bytes(raw) for name in names for raw in decode((RECORDED / f"{name}.json").read_bytes())]


RECORDS = recorded("orders_default_p1", "orders_default_p2", "orders_default_p3")
ORDER = json.loads(RECORDS[0])


def order(**changes: Any) -> bytes:
    return json.dumps({**ORDER, **changes}).encode()


def with_total(literal: str) -> bytes:
    """The first recorded order with ``literal`` in place of its total: text that json.dumps would not write."""
    return order(total="TOTAL").replace(b'"TOTAL"', literal.encode())


def load(*records: bytes, contract: Any = ORDERS, **given_values: Any) -> Batch:
    batch = convert(contract, records, instance="cedar_us", loaded_at=NOW, origin="GET orders page 1", **given_values)
    assert batch.received == len(records)
    assert batch.received == batch.loaded + len(batch.rejected)
    assert sum(rows.num_rows for name, rows in batch.tables.items() if name is contract) == batch.loaded
    assert len(batch.loaded_keys) == batch.loaded
    return batch


def rows(batch: Batch, contract: Any = ORDERS) -> list[dict[str, Any]]:
    found = batch.tables.get(contract)
    return found.to_pylist() if found is not None else []


def one(batch: Batch) -> dict[str, Any]:
    (row,) = rows(batch)
    return row


def refusal(batch: Batch) -> Any:
    (rejection,) = batch.rejected
    return rejection


# ---------------------------------------------------------------- exact money

LARGEST = Decimal(10) ** 14


@st.composite
def decimals(draw: st.DrawFn) -> str:
    """Decimal numbers as shops, plugins and their PHP write them: padded, long, with exponents."""
    digits = draw(st.integers(0, 10 ** draw(st.integers(1, 22))))
    places = draw(st.integers(0, 8))
    text = format(Decimal(digits).scaleb(-places), "f")
    if "." in text:
        text += "0" * draw(st.sampled_from([0, 0, 1, 3, 25, 31, 45, 60]))
    exponent = draw(st.sampled_from(["", "", "", "e0", "E+2", "e-2", "E-04", "e-12", "e-40", "e12", "e40"]))
    return draw(st.sampled_from(["", "", "-"])) + text + exponent


@settings(max_examples=600)
@given(number=decimals(), as_text=st.booleans())
def test_an_amount_arrives_exactly_or_not_at_all(number: str, as_text: bool) -> None:
    """An amount was rounded, went through a float, or was misread for its many decimals or its exponent."""
    batch = load(order(discount_total="AMOUNT").replace(b'"AMOUNT"', (f'"{number}"' if as_text else number).encode()))
    exact = Decimal(number)
    rounded = exact.quantize(Decimal("0.0001")) if abs(exact) < LARGEST else None
    is_noise = rounded is not None and len(exact.as_tuple().digits) >= 14 and abs(exact - rounded) < Decimal("1e-8")
    if rounded is not None and (exact == rounded or (is_noise and abs(exact) > Decimal("1e-20"))):
        assert one(batch)["discount_total"] == rounded
    else:
        assert refusal(batch).field == "discount_total"
        assert refusal(batch).value == number


@pytest.mark.parametrize("literal", ["1e-99999999", "1e-2147483647", "-0.01e-90", "1e999999999", "1E-10000000"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_an_absurd_exponent_is_only_refused(literal: str, quote: str) -> None:
    """One such number ended the whole process (Arrow reads beyond its table of powers), or became a large amount."""
    batch = load(RECORDS[1], with_total(quote + literal + quote), RECORDS[2])
    assert refusal(batch).field == "total"
    assert batch.loaded == 2


@pytest.mark.parametrize("zeros", [30, 37, 39, 40, 50])
@pytest.mark.parametrize("quote", ["", '"'])
def test_trailing_zeros_change_nothing(zeros: int, quote: str) -> None:
    """12.34 with forty zeros, as PHP prints floats with a high precision, was loaded as 0."""
    literal = quote + "12.34" + "0" * zeros + quote
    assert one(load(with_total(literal)))["total"] == Decimal("12.34")


@pytest.mark.parametrize(
    "literal",
    [
        '"12.34567"',
        "12.34567",
        "0.30000001",
        "12.3400000001",
        "12.34000001000001",
        "1e30",
        '"NaN"',
        '"Infinity"',
        '"1,50"',
        '"1.234,50"',
        '"$5"',
        '" 5"',
        '"1_000"',
        '"٣"',
        '"0x10"',
        "true",
        "[]",
        "{}",
        '["5"]',
        "100000000000000",
        '"100000000000000.00"',
    ],
)
def test_what_is_no_exact_amount_is_refused(literal: str) -> None:
    """A value that is not an amount became one: rounded, guessed, or null."""
    rejection = refusal(load(with_total(literal)))
    assert rejection.field == "total"
    assert "is not an amount" in rejection.reason
    assert rejection.value == json.loads(literal) if literal.startswith('"') else rejection.value == literal
    assert rejection.record_key == str(ORDER["id"])
    assert str(ORDER["id"]) in rejection.origin


@pytest.mark.parametrize(
    ("literal", "amount"),
    [
        ("0.30000000000000004", "0.30"),
        ('"12.3400000000001"', "12.34"),
        ("1234.5599999999999", "1234.56"),
        ('"-1.4210854715202E-14"', "0"),
        ('"19.999900000000011"', "19.9999"),
    ],
)
def test_the_noise_of_a_float_refuses_no_order(literal: str, amount: str) -> None:
    """A plugin that adds up floats left a good order in quarantine, for a hundred-billionth of a cent."""
    assert one(load(with_total(literal)))["total"] == Decimal(amount)


def test_zero_dates_are_none() -> None:
    """MySQL's zero for "never" kept an order out; or became a date of its own."""
    for text in ("0000-00-00T00:00:00", "0000-00-00 00:00:00", "-0001-11-30T00:00:00"):
        row = one(load(order(date_paid_gmt=text)))
        assert row["date_paid_gmt"] is None
        assert text in row["_payload"]
        assert refusal(load(order(date_created_gmt=text))).value == text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("billing", False), ("billing", ""), ("fee_lines", False), ("coupon_lines", ""), ("customer_id", False),
        ("customer_id", ""), ("date_paid_gmt", False), ("transaction_id", False), ("payment_method", False),
    ],
)  # fmt: skip
def test_phps_false_is_nothing(field: str, value: Any) -> None:
    """PHP says false where it has nothing: one plugin's order without an address was refused for it."""
    batch = load(order(**{field: value}))
    row = one(batch)
    assert row.get(field) is None
    assert row["id"] == ORDER["id"]


@pytest.mark.parametrize("literal", ["null", '""'])
def test_a_required_amount_may_not_be_empty(literal: str) -> None:
    """An order without a total was loaded with null, which every sum leaves out."""
    rejection = refusal(load(with_total(literal)))
    assert (rejection.field, rejection.reason) == ("total", "is missing, but the contract requires it")


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity"])
def test_constants_that_json_lacks_are_refused(literal: str) -> None:
    """Some encoders write NaN into JSON; it was read as a number."""
    assert literal.removeprefix("-") in refusal(load(with_total(literal))).reason


def test_a_negative_total_keeps_its_sign() -> None:
    """Stores have orders that give money back; refusing them lost it, and dropping the sign booked it as revenue."""
    assert one(load(order(total="-0.01")))["total"] == Decimal("-0.01")
    assert one(load(order(total="-0.00")))["total"] == 0


def test_a_value_below_its_minimum_is_refused() -> None:
    """A rate below zero turned the sign of every amount that it converts."""
    rate = {"name": "r1", "date": "2026-11-01", "from_currency": "USD", "to_currency": "EUR", "exchange_rate": "-1"}
    record = json.dumps(rate | {"modified": "2026-11-01 00:00:00"}).encode()
    batch = convert(table("erp", "exchange_rates"), [record], instance="erp_main", loaded_at=NOW, origin="page")
    (rejection,) = batch.rejected
    assert (rejection.field, rejection.reason) == ("exchange_rate", "must not be below 0")


@pytest.mark.parametrize(
    ("literal", "value"), [("5", 5), ('"5"', 5), ("5.0", 5), ("5e2", 500), ("9223372036854775807", 2**63 - 1)]
)
def test_whole_numbers_in_other_clothes_are_taken(literal: str, value: int) -> None:
    """PHP wrote an id as text, and the order was refused or got another id."""
    assert (
        one(load(order(customer_id=0).replace(b'"customer_id": 0', f'"customer_id": {literal}'.encode())))[
            "customer_id"
        ]
        == value
    )


@pytest.mark.parametrize(
    "literal",
    [
        "5.5",
        '"5.5"',
        '"x"',
        '"1_000"',
        '" 5"',
        "true",
        "1e400",
        "1e999999999",
        "9223372036854775808",
        "[]",
        '"٣"',
        '"NaN"',
    ],
)
def test_what_is_no_whole_number_is_refused(literal: str) -> None:
    """A minor-unit amount or an id was truncated, or a number of a billion digits was built."""
    batch = load(order(customer_id=0).replace(b'"customer_id": 0', f'"customer_id": {literal}'.encode()))
    assert refusal(batch).field == "customer_id"
    assert "whole number" in refusal(batch).reason


# ---------------------------------------------------------------- completeness

BAD: Sequence[tuple[str, Any]] = (
    ("total", "12.34567"),
    ("total_tax", "x"),
    ("currency", None),
    ("currency", "840"),
    ("date_created_gmt", "0000-00-00T00:00:00"),
    ("number", []),
    ("line_items", None),
    ("tax_lines", "none"),
)


@settings(max_examples=40)
@given(data=st.data(), count=st.integers(1, 30))
def test_bad_records_are_named_and_good_ones_stay(data: st.DataObject, count: int) -> None:
    """One bad order took its page with it, shifted its neighbours' values, or vanished without a trace."""
    faults = data.draw(st.dictionaries(st.integers(0, count - 1), st.sampled_from(BAD), max_size=min(count, 6)))
    records = []
    for position in range(count):
        change = dict([faults[position]]) if position in faults else {}
        records.append(order(**{"id": 1000 + position, "number": f"N{position}", **change}))
    batch = load(*records)
    assert {int(rejection.record_key or 0): rejection.field for rejection in batch.rejected} == {
        1000 + position: field for position, (field, _) in faults.items()
    }
    for rejection in batch.rejected:
        position = int(rejection.record_key or 0) - 1000
        assert rejection.payload == records[position]
        value = faults[position][1]
        assert rejection.value == (value if value is None or isinstance(value, str) else json.dumps(value))
    good = [position for position in range(count) if position not in faults]
    assert sorted(row["id"] for row in rows(batch)) == [1000 + position for position in good]
    for row in rows(batch):
        record = records[row["id"] - 1000]
        assert row["_payload"].encode() == record
        assert row["_payload_sha256"] == hashlib.sha256(record).hexdigest()
        if f"N{row['id'] - 1000}" != row["number"]:
            pytest.fail("a value belongs to another record")
    lines = [row for row in rows(batch, LINES) if not row["_deleted"]]
    assert len(lines) == len(good) * len(ORDER["line_items"])
    assert {row["order_id"] for row in lines} == {1000 + position for position in good}


def test_recorded_orders_load_whole() -> None:
    """A real page of a real store did not load, or its sums changed."""
    batch = load(*RECORDS)
    assert batch.loaded == 50
    assert len([row for row in rows(batch, LINES) if not row["_deleted"]]) == 85
    totals: dict[str, Decimal] = {}
    for row in rows(batch):
        totals[row["currency"]] = totals.get(row["currency"], Decimal(0)) + row["total"]
    assert {code: str(total) for code, total in totals.items()} == {
        "USD": "3467.3200",
        "EUR": "842.3000",
        "JPY": "20551.3000",
        "GBP": "88.8000",
        "CAD": "173.1600",
    }
    assert [row["_payload"].encode() for row in rows(batch)] == RECORDS
    assert rows(batch)[0]["meta_data"].encode() in RECORDS[0]
    assert {row["store_id"] for row in rows(batch)} == {"cedar_us"}
    assert {row["_loaded_at"] for row in rows(batch)} == {NOW}


def test_an_empty_page_is_nothing() -> None:
    """A page without records ended in an error of a library."""
    assert load().tables == {}


def test_a_value_that_is_only_in_the_address_is_given() -> None:
    """Refunds read order by order lost the order they belong to, since their bodies do not name it."""
    (record, *_) = recorded("refunds_collection_p1")
    without = json.dumps({name: value for name, value in json.loads(record).items() if name != "parent_id"}).encode()
    broken = without.replace(b'"amount": "', b'"amount": "x')
    assert refusal(load(without, contract=REFUNDS)).field == "parent_id"
    batch = load(broken, without, contract=REFUNDS, given=[{"parent_id": 1}, {"parent_id": 2}])
    assert [row["parent_id"] for row in rows(batch, REFUNDS)] == [2]


# ---------------------------------------------------------------- shapes of PHP


def test_php_shapes_are_taken() -> None:
    """PHP writes [] for an empty object and "" for nothing: such orders were refused, or got wrong values."""
    batch = load(order(billing=[], shipping="", date_paid_gmt="", customer_id="7", transaction_id=12345, fee_lines={}))
    row = one(batch)
    assert row["billing_email"] is None
    assert row["shipping_country"] is None
    assert row["date_paid_gmt"] is None
    assert row["customer_id"] == 7
    assert row["transaction_id"] == "12345"
    assert row["total"] == Decimal(ORDER["total"])
    assert row["_payload"].encode() == order(
        billing=[], shipping="", date_paid_gmt="", customer_id="7", transaction_id=12345, fee_lines={}
    )


def test_a_list_with_positions_as_names_is_a_list() -> None:
    """A plugin that takes one line out makes PHP write the others as an object, and all such orders were refused."""
    first, second = {**ORDER["line_items"][0], "id": 1}, {**ORDER["line_items"][0], "id": 2}
    batch = load(order(line_items={"1": first, "3": second}))
    assert [row["id"] for row in rows(batch, LINES)] == [1, 2]


@pytest.mark.parametrize("literal", ["7.7000000000000002", "7.70000000000000017763568394002504646778106689453125"])
def test_the_noise_of_a_float_is_taken_off_a_rate(literal: str) -> None:
    """PHP with serialize_precision 17 writes 7.7 so: every order with that tax rate, or that quantity, was refused."""
    lines = [{**ORDER["line_items"][0], "quantity": "QUANTITY"}]
    batch = load(order(line_items=lines).replace(b'"QUANTITY"', literal.encode()))
    assert [row["quantity"] for row in rows(batch, LINES)] == [Decimal("7.7")]
    assert refusal(load(order(line_items=[{**lines[0], "quantity": literal}]))).field == "line_items[0].quantity"


def test_text_from_a_number_is_the_number() -> None:
    """An order number that came as a number got quotation marks, and matched no payment any more."""
    assert one(load(order(number=1001)))["number"] == "1001"
    assert one(load(order(number=1001.5)))["number"] == "1001.5"


@pytest.mark.parametrize("value", [True, False, [], {}, ["1001"], {"number": "1001"}])
def test_text_from_anything_else_is_refused(value: Any) -> None:
    """A list or truth value became an order number."""
    assert refusal(load(order(number=value))).field == "number"


@pytest.mark.parametrize("value", ["text", 5, True, ["x"]])
def test_an_object_of_another_kind_is_refused(value: Any) -> None:
    """An address that is no object lost its fields without a word."""
    assert refusal(load(order(billing=value))).field == "billing.email"


def test_times_keep_their_instant() -> None:
    """A time with an offset was taken for UTC; a time without one for local time."""
    for text, hour in (("2026-11-05T10:00:00", 10), ("2026-11-05T10:00:00Z", 10), ("2026-11-05T10:00:00+09:00", 1)):
        assert one(load(order(date_created_gmt=text)))["date_created_gmt"] == datetime(2026, 11, 5, hour, tzinfo=UTC)


@pytest.mark.parametrize("value", ["yesterday", 1730800000, "05.11.2026", "2026-02-30T00:00:00", True])
def test_what_is_no_time_is_refused(value: Any) -> None:
    """An unreadable date became null, and the order dropped out of every day."""
    rejection = refusal(load(order(date_created_gmt=value)))
    assert rejection.field == "date_created_gmt"
    assert "2026-11-05T12:00:00" in rejection.reason


# ---------------------------------------------------------------- broken bytes


@pytest.mark.parametrize(
    ("name", "spoilt"),
    [
        ("invalid UTF-8 in a column", RECORDS[0].replace(b'"email":"', b'"email":"\xff\xfe')),
        ("invalid UTF-8 elsewhere", RECORDS[0].replace(b'"city":"', b'"city":"\xff')),
        ("half a surrogate pair", RECORDS[0].replace(b'"email":"', b'"email":"\\ud800')),
        ("raw NUL", RECORDS[0].replace(b'"email":"', b'"email":"\x00')),
        ("deeply nested", order(x="X").replace(b'"X"', b"[" * 100_000 + b"]" * 100_000)),
        ("deeply nested in a json column", order(meta_data="X").replace(b'"X"', b"[" * 5000 + b"]" * 5000)),
        ("total given twice", RECORDS[0][:-1] + b',"total":"1.00"}'),
        ("id given twice", RECORDS[0][:-1] + b',"id":1}'),
        ("truncated", RECORDS[0][:-20]),
        ("empty", b""),
        ("no object", b"[]"),
        ("a number", b"5"),
        ("null", b"null"),
        ("two records", RECORDS[3] + b" " + RECORDS[4]),
        ("two records on two lines", RECORDS[3] + b"\n" + RECORDS[4]),
        ("html", b"<html>502 Bad Gateway</html>"),
        ("huge whole number", order(customer_id=0).replace(b'"customer_id": 0', b'"customer_id": ' + b"9" * 6000)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_broken_bytes_stop_no_neighbour(name: str, spoilt: bytes) -> None:
    """One record with broken bytes ended the load of its whole store, or changed what its neighbours hold."""
    batch = load(RECORDS[1], spoilt, RECORDS[2])
    rejection = refusal(batch)
    assert rejection.payload == spoilt
    assert rejection.reason
    assert [row["_payload"].encode() for row in rows(batch)] == [RECORDS[1], RECORDS[2]]


def test_unusual_but_valid_text_is_kept() -> None:
    """NUL, emoji, line separators and long text inside a string were cut, or moved into another record."""
    name = "a\x00b \U0001f600   \r\n \\u0041 " + "x" * 100_000
    batch = load(order(billing={"email": name}, line_items=[{**ORDER["line_items"][0], "name": name}]))
    assert one(batch)["billing_email"] == name
    assert rows(batch, LINES)[0]["name"] == name


def test_line_breaks_between_members_are_blanks() -> None:
    """Pretty-printed JSON was cut into pieces at its line breaks."""
    pretty = json.dumps(ORDER, indent=2).replace("\n", "\r\n").encode()
    batch = load(pretty, RECORDS[1])
    assert batch.loaded == 2
    assert rows(batch)[0]["_payload"].encode() == pretty


@pytest.mark.parametrize("order_of_members", ["forwards", "backwards"])
def test_unknown_members_and_their_order_do_not_matter(order_of_members: str) -> None:
    """A plugin's new field, or another order of the fields, moved values between columns."""
    members = list({**ORDER, "brand_new": {"total": "999.99"}}.items())
    if order_of_members == "backwards":
        members.reverse()
    assert one(load(json.dumps(dict(members)).encode()))["total"] == Decimal(ORDER["total"])


# ---------------------------------------------------------------- children


def test_children_keep_their_parent() -> None:
    """A line was attributed to the order before or after its own."""
    records = [order(id=position, line_items=ORDER["line_items"][:1] * (position % 4)) for position in range(1, 30)]
    batch = load(*records)
    found: dict[int, list[bool | None]] = {}
    for row in rows(batch, LINES):
        found.setdefault(row["order_id"], []).append(row["_deleted"])
    for position in range(1, 30):
        assert found[position] == ([None] * (position % 4) or [True])


def test_an_order_without_lines_gets_a_tombstone() -> None:
    """An order whose last line was removed kept the line in the warehouse."""
    batch = load(order(line_items=[]))
    (tombstone,) = rows(batch, LINES)
    assert (tombstone["order_id"], tombstone["id"], tombstone["_deleted"]) == (ORDER["id"], 0, True)
    assert [row["_deleted"] for row in rows(load(RECORDS[0]), LINES)] == [None, None]


@pytest.mark.parametrize("name", ["line_items", "tax_lines", "shipping_lines", "fee_lines", "coupon_lines"])
@pytest.mark.parametrize("how", ["missing", "null", "renamed"])
def test_a_missing_list_is_no_empty_list(name: str, how: str) -> None:
    """A list that was renamed, or left out of one answer, removed all lines of the order."""
    document = dict(ORDER)
    value = document.pop(name)
    if how != "missing":
        document[f"{name}_v2" if how == "renamed" else name] = value if how == "renamed" else None
    assert refusal(load(json.dumps(document).encode())).field == name


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ({"total": "1.23456"}, "line_items[0].total"),
        ({"total": None}, "line_items[].total"),
        ({"id": None}, "line_items[].id"),
        ({"quantity": "two"}, "line_items[0].quantity"),
    ],
)
def test_a_bad_line_rejects_its_order(line: dict[str, Any], field: str) -> None:
    """An order was loaded without one of its lines, and its total no longer footed."""
    good = ORDER["line_items"][0]
    batch = load(order(id=1, line_items=[{**good, **line}, good]), order(id=2))
    assert refusal(batch).field == field
    assert refusal(batch).record_key == "1"
    assert {row["id"] for row in rows(batch)} == {2}
    for contract, found in batch.tables.items():
        if contract.parent and not contract.optional:
            assert set(found.column("order_id").to_pylist()) == {2}


@pytest.mark.parametrize("value", ["x", 5, True, [None], [[]], ["x"], {"0": {}}])
def test_what_is_no_list_of_lines_is_refused(value: Any) -> None:
    """Lines in an unknown shape were taken for no lines."""
    assert refusal(load(order(line_items=value))).field.startswith("line_items")


# ---------------------------------------------------------------- drift (200 mutations)


def _paths(document: Any, prefix: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for name, value in items:
        found.append((*prefix, name))
        found.extend(_paths(value, (*prefix, name)))
    return found


def _mutate(document: Any, path: tuple[Any, ...], kind: str) -> None:
    *parents, leaf = path
    for part in parents:
        document = document[part]
    value = document[leaf]
    if kind == "missing":
        del document[leaf]
    elif kind == "renamed" and isinstance(leaf, str):
        document[f"{leaf}_v2"] = document.pop(leaf)
    elif kind == "retyped":
        document[leaf] = [value] if not isinstance(value, (list, dict)) else "a text"
    elif kind == "number as float":
        document[leaf] = float(value) if isinstance(value, str) and value.replace(".", "").isdigit() else 0.1 + 0.2
    elif kind == "null":
        document[leaf] = None
    elif kind == "huge":
        document[leaf] = 10**400
    elif kind == "nul":
        document[leaf] = "\x00"
    else:
        document[leaf] = "new_enum_value"


MONEY = (
    "total",
    "total_tax",
    "cart_tax",
    "shipping_total",
    "shipping_tax",
    "discount_total",
    "discount_tax",
    "currency",
)


def _money(batch: Batch) -> Any:
    """Everything of an order that becomes a posting, without the lines that only say that there are none."""
    children = {
        contract.name: [
            {column.name: row[column.name] for column in contract.columns if column.type in ("amount", "integer")}
            for row in found.to_pylist()
            if not row["_deleted"]
        ]
        for contract, found in batch.tables.items()
        if contract.parent
    }
    for lines in children.values():
        for line in lines:
            for name in ("product_id", "variation_id", "rate_id"):
                line.pop(name, None)
    return {name: one(batch)[name] for name in MONEY}, children


def test_two_hundred_mutations_never_change_an_amount_in_silence() -> None:
    """A field that was renamed, retyped, emptied or exaggerated ended as another amount, or as none."""
    choose = random.Random(20261105)
    kinds = ["missing", "renamed", "retyped", "number as float", "null", "huge", "nul", "new"]
    outcomes = {"loaded": 0, "rejected": 0}
    for number in range(200):
        source = choose.choice(RECORDS)
        document = json.loads(source)
        # Half of the mutations strike money, the others anything.
        money = [
            p
            for p in _paths(document)
            if p[-1] in (*MONEY, "subtotal", "subtotal_tax", "tax_total", "id")
            and "meta_data" not in p
            and "taxes" not in p
        ]
        path = choose.choice(money if number % 2 else _paths(document))
        kind = choose.choice(kinds)
        _mutate(document, path, kind)
        batch = load(json.dumps(document).encode())
        outcomes["rejected" if batch.rejected else "loaded"] += 1
        if not batch.rejected:
            left_out = {"coupon_lines": "discount and discount_tax of a coupon only inform"}
            now, before = _money(batch), _money(load(source))
            for name in left_out:
                now[1].pop(f"order_{name}", None)
                before[1].pop(f"order_{name}", None)
            assert now == before, (path, kind)
    assert min(outcomes.values()) >= 40, outcomes


# ---------------------------------------------------------------- other systems


def test_a_ledger_line_is_whole_minor_units() -> None:
    """Stripe's minor units with a fraction, or as a float, were truncated to cents."""
    line = {
        "id": "txn_1",
        "amount": 1999,
        "fee": 88,
        "net": 1911,
        "currency": "usd",
        "exchange_rate": 1.2345,
        "type": "charge",
        "reporting_category": "charge",
        "source": "ch_1",
        "status": "available",
        "created": 1762300800,
        "available_on": 1762300800,
        "balance_type": None,
        "description": None,
    }
    row = load(json.dumps(line).encode(), contract=LEDGER).tables[LEDGER].to_pylist()[0]
    assert (row["amount"], row["exchange_rate"]) == (1999, Decimal("1.2345"))
    for amount in (19.99, "19.99", True, None, 2**63):
        assert refusal(load(json.dumps({**line, "amount": amount}).encode(), contract=LEDGER)).field == "amount"


@pytest.mark.parametrize("text", ["2026-11-05", "2026-11-05 10:00:00"])
def test_a_date_is_a_day(text: str) -> None:
    """A posting date with a time of day stopped the load, or moved to the neighbouring day."""
    contract = table("erp", "journal_entries")
    record = {"id": "JE-1", "company": "c", "entry_type": "Journal Entry", "posting_date": text, "docstatus": 1}
    (row,) = load(json.dumps(record).encode(), contract=contract).tables[contract].to_pylist()
    assert str(row["posting_date"]) == "2026-11-05"


def test_rows_of_our_own_parsers_must_fit() -> None:
    """A parser's amount with too many decimals was rounded on its way into the table."""
    contract = table("bank", "statements")
    row = {column.name: "x" for column in contract.columns if column.type == "text"} | {
        "opening_balance": Decimal("0.00001"),
        "closing_balance": Decimal(0),
        "entry_count": 0,
    }
    with pytest.raises(pa.ArrowInvalid):
        from_rows(contract, [row], instance="bank_us", loaded_at=NOW)
    row["opening_balance"] = Decimal("0.0001")
    assert from_rows(contract, [row], instance="bank_us", loaded_at=NOW).schema == table_schema(contract)


@pytest.mark.parametrize(
    "contract", [t for t in TABLES if not t.parent], ids=lambda contract: f"{contract.system}.{contract.name}"
)
def test_every_contract_takes_no_rows(contract: Any) -> None:
    """A bank statement of a day without entries, or a system without a single record, could not be loaded."""
    payloads = [] if "_payload" in table_schema(contract).names else None
    assert from_rows(contract, [], payloads=payloads, instance="x", loaded_at=NOW).schema == table_schema(contract)
