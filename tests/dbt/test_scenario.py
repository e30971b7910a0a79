"""A small retailer with one event of each kind, through all models: verdicts, exceptions and journals to the cent.

The events are in ``scenario.py``. What is expected of them stands here as text, one row per line, so that a controller
can read it: amounts are signed, debit positive, in the books' currency.
"""

import hashlib
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from retail_assets.commands.shadow import shadow_plan
from retail_assets.settings import load_settings
from tests.dbt.compiled import Compiled
from tests.dbt.scenario import play
from tests.dbt.warehouse import Warehouse
from tests.dbt.world import AS_OF

pytestmark = pytest.mark.slow

#: Settlement line, verdict, rule, order.
VERDICTS = """
stripe_de:txn_ch_2001 matched gateway_id linden_de:2001
stripe_de:txn_ch_2002 fx_diff gateway_id linden_de:2002
stripe_de:txn_ch_2003 needs_review gateway_id linden_de:2003
stripe_de:txn_ch_2004 matched merchant_reference linden_de:2004
stripe_de:txn_ch_2005 matched description linden_de:2005
stripe_de:txn_re_2002 fx_diff gateway_refund_id linden_de:2002
stripe_jp:txn_ch_3001 matched_tolerance gateway_id aoi_jp:3001
stripe_jp:txn_ch_3050 matched order_reference aoi_jp:3050
stripe_jp:txn_ch_3060 matched order_reference aoi_jp:3060
stripe_us:txn_ch_1001 matched gateway_id cedar_us:1001
stripe_us:txn_ch_1003 amount_diff gateway_id cedar_us:1003
stripe_us:txn_ch_1004 matched gateway_id cedar_us:1004
stripe_us:txn_ch_1004b duplicate order_key cedar_us:1004
stripe_us:txn_ch_1005 matched gateway_id cedar_us:1005
stripe_us:txn_ch_1006 matched gateway_id cedar_us:1006
stripe_us:txn_ch_1007 matched gateway_id cedar_us:1007
stripe_us:txn_ch_1008 matched gateway_id cedar_us:1008
stripe_us:txn_ch_1009 matched gateway_id cedar_us:1009
stripe_us:txn_ch_1015 matched gateway_id cedar_us:1015
stripe_us:txn_ch_1016 matched gateway_id cedar_us:1016
stripe_us:txn_ch_1017 matched gateway_id cedar_us:1017
stripe_us:txn_ch_1018 matched gateway_id cedar_us:1018
stripe_us:txn_ch_1020 matched gateway_id cedar_us:1020
stripe_us:txn_ch_1021 amount_diff gateway_id cedar_us:1021
stripe_us:txn_ch_1022 matched gateway_id cedar_us:1022
stripe_us:txn_ch_1023 ambiguous order_key -
stripe_us:txn_ch_1023b ambiguous order_key -
stripe_us:txn_ch_1026 matched gateway_id cedar_us:1026
stripe_us:txn_ch_1027 matched gateway_id cedar_us:1027
stripe_us:txn_ch_1030 matched_tolerance gateway_id cedar_us:1030
stripe_us:txn_ch_staging missing_in_store - -
stripe_us:txn_ch_young timing - -
stripe_us:txn_dp_1007 matched gateway_id cedar_us:1007
stripe_us:txn_dp_1008 matched gateway_id cedar_us:1008
stripe_us:txn_dp_1008_back matched gateway_id cedar_us:1008
stripe_us:txn_dp_1027 matched gateway_id cedar_us:1027
stripe_us:txn_hold non_order - -
stripe_us:txn_levy needs_review - -
stripe_us:txn_part matched gateway_id cedar_us:1020
stripe_us:txn_po_failed_back non_order - -
stripe_us:txn_radar fee_only - -
stripe_us:txn_re_1005 matched gateway_refund_id cedar_us:1005
stripe_us:txn_re_1006 matched amount_in_order cedar_us:1006
stripe_us:txn_re_1016 missing_in_store gateway_id cedar_us:1016
stripe_us:txn_re_1017 needs_review gateway_refund_id cedar_us:1017
stripe_us:txn_re_1017_back needs_review gateway_refund_id cedar_us:1017
stripe_us:txn_re_1027 matched gateway_refund_id cedar_us:1027
"""

#: Order, what became of it, what is open.
ORDERS = """
aoi_jp:3001 captured 0
aoi_jp:3050 settled 0
aoi_jp:3060 settled 0
cedar_us:1001 settled 0
cedar_us:1002 payment_missing 45
cedar_us:1003 amount_mismatch -6
cedar_us:1004 duplicate_payment 0
cedar_us:1005 refunded 0
cedar_us:1006 settled 0
cedar_us:1007 disputed 0
cedar_us:1008 settled 0
cedar_us:1009 captured 0
cedar_us:1010 not_expected 0
cedar_us:1011 not_expected 0
cedar_us:1012 not_expected 0
cedar_us:1013 not_expected 0
cedar_us:1014 not_expected 0
cedar_us:1015 settled -25
cedar_us:1016 settled 5
cedar_us:1017 settled -25
cedar_us:1018 captured 0
cedar_us:1019 timing 45
cedar_us:1020 captured 0
cedar_us:1021 amount_mismatch 0
cedar_us:1022 captured 0
cedar_us:1023 ambiguous 60
cedar_us:1024 not_expected 0
cedar_us:1025 not_expected 0
cedar_us:1026 captured -5
cedar_us:1027 disputed 0
cedar_us:1030 captured -0.01
linden_de:2001 settled 0
linden_de:2002 settled 0
linden_de:2003 currency_mismatch -
linden_de:2004 settled 0
linden_de:2005 captured 0
"""

#: Exception, amount at risk, currency.
EXCEPTIONS = """
ambiguous_match:cedar_us:1023 60 USD
ambiguous_match:stripe_us:txn_ch_1023 60 USD
ambiguous_match:stripe_us:txn_ch_1023b 60 USD
amount_mismatch:cedar_us:1003 6 USD
amount_mismatch:cedar_us:1021 44 USD
bank_amount_mismatch:stripe_us:po_short 1 USD
completeness_gap:bank_jp:S3 2000 JPY
contract_violation:cedar_us:1018 110 USD
contract_violation:q1 0 -
currency_mismatch:linden_de:2003 40 EUR
dispute_double_loss:stripe_us:dp_1027 35 USD
dispute_open:stripe_us:dp_1007 35 USD
dispute_open:stripe_us:dp_1027 35 USD
duplicate_payment:stripe_us:txn_ch_1004b 30 USD
order_missing:stripe_us:txn_ch_staging 12 USD
payment_missing:cedar_us:1002 45 USD
payout_failed:stripe_us:po_failed 51.57 USD
payout_not_in_bank:stripe_us:po_late 87.09 USD
payout_residual:stripe_us:po_residual 0.01 USD
refund_failed:cedar_us:2917 25 USD
refund_missing_in_gateway:cedar_us:2915 25 USD
refund_missing_in_store:stripe_us:re_1016 5 USD
unknown_line_type:stripe_us:txn_levy 4 USD
unmapped_account:US:tax_payable:US-NV 3.42 USD
"""

#: Payout, status, gross, fee, refund, dispute, reserve, other, unlisted, residual, net, bank difference.
PAYOUTS = """
stripe_de:po_de reconciled 295.5 7.19 0 0 0 0 0 0 288.31 0
stripe_jp:po_jp reconciled 10000 360 0 0 0 0 0 0 9640 0
stripe_us:po_across reconciled 145 5.73 0 0 0 0 0 0 139.27 0
stripe_us:po_failed failed 53.42 1.85 0 0 0 0 0 0 51.57 -
stripe_us:po_late not_in_bank 90 2.91 0 0 0 0 0 0 87.09 -
stripe_us:po_manual in_transit 0 0 0 0 0 0 10 0 10 -
stripe_us:po_named reconciled 357.03 19.15 43.55 0 -25 -4 0 0 265.33 0
stripe_us:po_residual residual 44 1.58 0 0 0 0 0 -0.01 42.41 -
stripe_us:po_short bank_amount_mismatch 20.01 0.88 0 0 0 0 0 0 19.13 -1
"""

#: Entry, day, posting status, accounts with signed amounts in base currency.
JOURNAL = """
bank/stripe_de:po_de 2026-11-02 ready: 1200 288.31, 1210 -288.31
bank/stripe_jp:po_jp 2026-11-04 ready: 1200 9640, 1210 -9640
bank/stripe_us:po_across 2026-11-03 ready: 1200 139.27, 1210 -139.27
bank/stripe_us:po_named 2026-10-26 ready: 1200 265.33, 1210 -265.33
bank/stripe_us:po_short 2026-10-28 held: 1200 18.13, 1210 -18.13
line/stripe_de:txn_ch_2001 2026-10-20 ready: 1250 116.96, 6100 2.04, 1100 -119
line/stripe_de:txn_ch_2002 2026-10-28 ready: 1250 112.5, 6100 4, 1100 -115.12, 6900 -1.38
line/stripe_de:txn_ch_2003 2026-10-22 ready: 1250 45, 6100 1, 1290 -46
line/stripe_de:txn_ch_2004 2026-10-22 ready: 1250 58.85, 6100 1.15, 1100 -60
line/stripe_de:txn_ch_2005 2026-10-22 ready: 1250 59.83, 6100 1.17, 1100 -61
line/stripe_de:txn_re_2002 2026-11-02 ready: 1250 -59, 1100 57.56, 6900 1.44
line/stripe_jp:txn_ch_3001 2026-11-01 ready: 1250 9228, 6100 345, 1100 -9573
line/stripe_jp:txn_ch_3050 2026-10-23 ready: 1250 4820, 6100 180, 1100 -5000
line/stripe_jp:txn_ch_3060 2026-10-23 ready: 1250 4820, 6100 180, 1100 -5000
line/stripe_us:txn_ch_1001 2026-10-20 ready: 1250 106.88, 6100 3.5, 1100 -110.38
line/stripe_us:txn_ch_1003 2026-10-20 ready: 1250 54.08, 6100 1.92, 1290 -56
line/stripe_us:txn_ch_1004 2026-10-20 ready: 1250 28.83, 6100 1.17, 1100 -30
line/stripe_us:txn_ch_1004b 2026-10-20 ready: 1250 28.83, 6100 1.17, 1290 -30
line/stripe_us:txn_ch_1005 2026-10-20 ready: 1250 41.99, 6100 1.56, 1100 -43.55
line/stripe_us:txn_ch_1006 2026-10-20 ready: 1250 84.27, 6100 2.83, 1100 -87.1
line/stripe_us:txn_ch_1007 2026-10-20 ready: 1250 33.68, 6100 1.32, 1100 -35
line/stripe_us:txn_ch_1008 2026-10-20 ready: 1250 33.68, 6100 1.32, 1100 -35
line/stripe_us:txn_ch_1009 2026-10-31 ready: 1250 67.67, 6100 2.33, 1100 -70
line/stripe_us:txn_ch_1015 2026-10-20 ready: 1250 23.97, 6100 1.03, 1100 -25
line/stripe_us:txn_ch_1016 2026-10-20 ready: 1250 23.97, 6100 1.03, 1100 -25
line/stripe_us:txn_ch_1017 2026-10-20 ready: 1250 23.97, 6100 1.03, 1100 -25
line/stripe_us:txn_ch_1018 2026-10-22 ready: 1250 106.51, 6100 3.49, 1100 -110
line/stripe_us:txn_ch_1020 2026-10-22 ready: 1250 117.09, 6100 2.91, 1100 -120
line/stripe_us:txn_ch_1021 2026-10-22 ready: 1250 42.42, 6100 1.58, 1290 -44
line/stripe_us:txn_ch_1022 2026-10-22 ready: 1250 51.57, 6100 1.85, 1100 -53.42
line/stripe_us:txn_ch_1023 2026-10-22 ready: 1250 57.96, 6100 2.04, 1290 -60
line/stripe_us:txn_ch_1023b 2026-10-22 ready: 1250 57.96, 6100 2.04, 1290 -60
line/stripe_us:txn_ch_1026 2026-10-20 ready: 1250 23.97, 6100 1.03, 1100 -25
line/stripe_us:txn_ch_1027 2026-10-20 ready: 1250 33.68, 6100 1.32, 1100 -35
line/stripe_us:txn_ch_1030 2026-10-22 ready: 1250 19.13, 6100 0.88, 1100 -20, 6910 -0.01
line/stripe_us:txn_ch_staging 2026-10-22 ready: 1250 11.35, 6100 0.65, 1290 -12
line/stripe_us:txn_ch_young 2026-11-04 ready: 1250 12.32, 6100 0.68, 1290 -13
line/stripe_us:txn_dp_1007 2026-10-30 ready: 1250 -50, 6110 15, 1270 35
line/stripe_us:txn_dp_1008 2026-10-23 ready: 1250 -50, 6110 15, 1270 35
line/stripe_us:txn_dp_1008_back 2026-10-30 ready: 1250 35, 1270 -35
line/stripe_us:txn_dp_1027 2026-10-28 ready: 1250 -50, 6110 15, 1270 35
line/stripe_us:txn_hold 2026-10-20 ready: 1250 -25, 1260 25
line/stripe_us:txn_levy 2026-10-20 ready: 1250 -4, 1290 4
line/stripe_us:txn_part 2026-10-22 ready: 1250 -30, 1100 30
line/stripe_us:txn_po_failed_back 2026-10-29 ready: 1250 51.57, 1210 -51.57
line/stripe_us:txn_radar 2026-10-20 ready: 1250 -7, 6100 7
line/stripe_us:txn_re_1005 2026-10-21 ready: 1250 -43.55, 1100 43.55
line/stripe_us:txn_re_1006 2026-10-31 ready: 1250 -10, 1100 10
line/stripe_us:txn_re_1016 2026-10-22 ready: 1250 -5, 1290 5
line/stripe_us:txn_re_1017 2026-10-22 ready: 1250 -25, 1290 25
line/stripe_us:txn_re_1017_back 2026-10-24 ready: 1250 25, 1290 -25
line/stripe_us:txn_re_1027 2026-10-22 ready: 1250 -35, 1100 35
payout/stripe_de:po_de 2026-10-30 ready: 1250 -288.31, 1210 288.31
payout/stripe_jp:po_jp 2026-10-30 ready: 1250 -9640, 1210 9640
payout/stripe_us:po_across 2026-10-31 ready: 1250 -139.27, 1210 139.27
payout/stripe_us:po_failed 2026-10-26 ready: 1250 -51.57, 1210 51.57
payout/stripe_us:po_late 2026-10-26 ready: 1250 -87.09, 1210 87.09
payout/stripe_us:po_manual 2026-11-04 ready: 1250 -10, 1210 10
payout/stripe_us:po_named 2026-10-23 ready: 1250 -265.33, 1210 265.33
payout/stripe_us:po_residual 2026-10-26 ready: 1250 -42.41, 1210 42.41
payout/stripe_us:po_short 2026-10-26 ready: 1250 -19.13, 1210 19.13
refund/cedar_us:2905 2026-10-21 ready: 4200 40, 2201 3.55, 1100 -43.55
refund/cedar_us:2906 2026-10-31 ready: 4200 10, 1100 -10
refund/cedar_us:2915 2026-10-22 held: 4200 25, 1100 -25
refund/cedar_us:2917 2026-10-22 held: 4200 25, 1100 -25
refund/cedar_us:2926 2026-11-05 ready: 4200 5, 1100 -5
refund/cedar_us:2927 2026-10-22 ready: 4200 35, 1100 -35
refund/linden_de:2902 2026-11-02 ready: 4200 57.56, 1100 -57.56
sale/aoi_jp:3001 2026-11-01 ready: 1100 9573, 4000 -8703, 2220 -870
sale/aoi_jp:3050 2026-10-23 ready: 1100 5000, 4000 -5000
sale/aoi_jp:3060 2026-10-23 ready: 1100 5000, 4000 -5000
sale/cedar_us:1001 2026-10-20 ready: 1100 110.38, 4000 -95, 4100 -6.5, 2201 -8.88
sale/cedar_us:1003 2026-10-20 held: 1100 50, 4000 -50
sale/cedar_us:1004 2026-10-20 held: 1100 30, 4000 -30
sale/cedar_us:1005 2026-10-20 ready: 1100 43.55, 4000 -40, 2201 -3.55
sale/cedar_us:1006 2026-10-20 ready: 1100 87.1, 4000 -80, 2201 -7.1
sale/cedar_us:1007 2026-10-20 ready: 1100 35, 4000 -35
sale/cedar_us:1008 2026-10-20 ready: 1100 35, 4000 -35
sale/cedar_us:1009 2026-10-31 ready: 1100 70, 4000 -70
sale/cedar_us:1015 2026-10-20 held: 1100 25, 4000 -25
sale/cedar_us:1016 2026-10-20 held: 1100 25, 4000 -25
sale/cedar_us:1017 2026-10-20 held: 1100 25, 4000 -25
sale/cedar_us:1020 2026-10-22 ready: 1100 90, 4000 -90
sale/cedar_us:1021 2026-10-22 held: 1100 44, 4000 -44
sale/cedar_us:1022 2026-10-22 held: 1100 53.42, 4000 -50, none -3.42
sale/cedar_us:1026 2026-10-20 ready: 1100 25, 4000 -25
sale/cedar_us:1027 2026-10-20 ready: 1100 35, 4000 -35
sale/cedar_us:1030 2026-10-22 ready: 1100 20, 4000 -20
sale/linden_de:2001 2026-10-20 ready: 1100 119, 4000 -100, 2210 -19
sale/linden_de:2002 2026-10-28 ready: 1100 115.12, 4000 -95.93, 4100 -5.75, 2210 -13.43, 6910 -0.01
sale/linden_de:2003 2026-10-22 held: 1100 40, 4000 -40
sale/linden_de:2004 2026-10-22 ready: 1100 60, 4000 -60
sale/linden_de:2005 2026-10-22 ready: 1100 61, 4000 -61
"""


@pytest.fixture(scope="module")
def built(project: Compiled, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """The scenario, made by the models; nothing of it breaks a promise, nothing warns."""
    warehouse = project.empty(tmp_path_factory.mktemp("scenario"))
    play().write(warehouse)
    project.make(warehouse, warn=True)
    return warehouse


def test_every_settlement_line_gets_its_verdict(built: Warehouse) -> None:
    """A charge tied to the wrong order, a second payment taken for the first, or a clone's charge taken for ours."""
    found = built.query(
        "select settlement_line_key, match_status, match_rule, order_key from marts.rec_settlement_lines "
        "where line_type <> 'payout' order by 1"
    )
    assert _text(found) == VERDICTS


def test_every_order_gets_its_status(built: Warehouse) -> None:
    """Free, unpaid, trashed and cash orders reported as unpaid, or an unpaid one passed over."""
    found = built.query("select order_key, order_status, open_amount from marts.rec_orders order by 1")
    assert _text(found) == ORDERS


def test_every_planted_case_is_found_and_none_is_invented(built: Warehouse) -> None:
    """A case that raises no exception, two exceptions for one cause, or one where all is well."""
    found = built.query("select exception_id, amount_at_risk, currency_code from marts.rec_exceptions order by 1")
    assert _text(found) == EXCEPTIONS


def test_exceptions_can_be_acted_on(built: Warehouse) -> None:
    """An exception without owner, deadline, evidence or next step, or about an order nobody can find."""
    rows = built.rows("select * from marts.rec_exceptions")
    for row in rows:
        assert row["owner"].startswith("team:")
        assert row["due_at"] > row["opened_at"]
        assert row["suggested_action"].endswith(".")
        assert json.loads(row["evidence"])
    by_id = {row["exception_id"]: row for row in rows}
    duplicate = by_id["duplicate_payment:stripe_us:txn_ch_1004b"]
    assert (duplicate["order_key"], duplicate["entity_code"]) == ("cedar_us:1004", "US")
    assert json.loads(duplicate["evidence"])["paid_before_by"] == "stripe_us:ch_1004"
    assert json.loads(by_id["ambiguous_match:cedar_us:1023"]["evidence"])["rival_payments"] == (
        "stripe_us:ch_1023, stripe_us:ch_1023b"
    )


def test_every_payout_foots_to_the_cent(built: Warehouse) -> None:
    """A residual that is hidden in another column, or a payout matched to another payout's bank line."""
    found = built.query(
        "select settlement_key, settlement_status, gross_amount, fee_amount, refund_amount, dispute_amount, "
        "reserve_amount, other_amount, unlisted_amount, residual_amount, net_amount, bank_difference_amount "
        "from marts.rec_settlements order by 1"
    )
    assert _text(found) == PAYOUTS


def test_the_journal_to_the_cent(built: Warehouse) -> None:
    """An amount, account, day or hold that differs from what an accountant would book."""
    entries: dict[tuple[str, ...], list[str]] = {}
    for entry_id, day, status, account, amount in built.query(
        "select entries.entry_id, entries.posting_date, entries.posting_status, lines.account_code, "
        "lines.base_debit_amount - lines.base_credit_amount from marts.acc_journal_entries as entries "
        "inner join marts.acc_journal_lines as lines on entries.entry_id = lines.entry_id order by 1, lines.line_no"
    ):
        entries.setdefault((entry_id, str(day), status), []).append(f"{account or 'none'} {_plain(amount)}")
    text = [f"{entry_id} {day} {status}: {', '.join(lines)}" for (entry_id, day, status), lines in entries.items()]
    assert "\n".join(["", *text, ""]) == JOURNAL


def test_the_ledger_rolls_forward_to_the_gateway_s_balance(built: Warehouse) -> None:
    """A line that moves the balance and not the clearing account, or a bridge that loses money on the way."""
    rows = built.rows("select * from marts.rec_clearing")
    assert {row["gateway_id"]: row["difference_amount"] for row in rows} == {
        "stripe_us": 0, "stripe_de": 0, "stripe_jp": 0,
    }  # fmt: skip
    held = dict(
        built.query("select gateway_id, sum(balance_held_amount) from marts.rec_gross_to_net group by gateway_id")
    )
    assert held == {row["gateway_id"]: row["gateway_balance_amount"] for row in rows}


def test_foreign_documents_balance_in_both_currencies(built: Warehouse) -> None:
    """A sale in pounds that balances in euros only, or the other way round."""
    rows = built.query(
        "select account_role, debit_amount - credit_amount, currency_code, base_debit_amount - base_credit_amount, "
        "exchange_rate from marts.acc_journal_lines where entry_id = 'sale/linden_de:2002' order by line_no"
    )
    assert [
        (role, _plain(amount), currency, _plain(base), _plain(rate)) for role, amount, currency, base, rate in rows
    ] == [
        ("receivables", "100.1", "GBP", "115.12", "1.15"),
        ("revenue", "-83.42", "GBP", "-95.93", "1.15"),
        ("shipping_income", "-5", "GBP", "-5.75", "1.15"),
        ("tax_payable", "-11.68", "GBP", "-13.43", "1.15"),
        ("rounding", "0", "GBP", "-0.01", "1.15"),
    ]


def test_a_journal_line_traces_to_its_records(built: Warehouse) -> None:
    """A line that nobody can drill back from, or whose hash is not that of the raw record."""
    rows = built.query(
        "select line_no, source_system, source_table, source_key, payload_sha256 "
        "from marts.acc_journal_line_sources where entry_id = 'sale/cedar_us:1001' order by 1, 2"
    )
    (order_hash,) = built.query("select _payload_sha256 from raw_woocommerce.orders where id = 1001")[0]
    (charge_hash,) = built.query("select _payload_sha256 from raw_stripe.charges where id = 'ch_1001'")[0]
    assert rows == [
        (1, "stripe", "charges", "stripe_us:ch_1001", charge_hash),
        *((line, "woocommerce", "orders", "cedar_us:1001", order_hash) for line in (1, 2, 3, 4)),
    ]
    (justified_by,) = built.query("select justified_by from marts.acc_events where entry_id = 'sale/cedar_us:1001'")[0]
    assert json.loads(justified_by) == ["order:cedar_us:1001", "capture:stripe_us:ch_1001"]


def test_test_data_and_failed_attempts_are_counted_and_move_nothing(built: Warehouse) -> None:
    """Test charges that pay a real order, or a declined attempt that disappears."""
    events = built.query(
        "select payment_key, event_type, match_status, order_key from marts.fct_payment_events "
        "where match_status in ('test_data', 'non_order') order by 1"
    )
    assert events == [
        ("stripe_us:ch_failed", "failure", "non_order", "cedar_us:1024"),
        ("stripe_us:ch_test", "capture", "test_data", None),
    ]


def test_an_order_can_be_followed_from_checkout_to_cash(built: Warehouse) -> None:
    """A milestone on the wrong day, or a document of another order."""
    (row,) = built.rows("select * from marts.fct_order_lifecycle where order_key = 'cedar_us:1001'")
    assert row["payment_key"] == "stripe_us:ch_1001"
    assert row["settlement_key"] == "stripe_us:po_named"
    assert row["bank_line_key"] == "bank_us:S1:2"
    assert str(row["in_bank_on"]) == "2026-10-26"
    assert str(row["captured_at"]) == "2026-10-20 15:00:00"


def test_guests_are_known_by_a_hash_only(built: Warehouse) -> None:
    """An e-mail address in a mart."""
    (row,) = built.rows(
        "select customers.* from marts.dim_customers as customers inner join marts.fct_orders as orders "
        "on customers.customer_key = orders.customer_key where orders.order_key = 'cedar_us:1001'"
    )
    assert row["is_guest"]
    assert "@" not in json.dumps(row, default=str)


def _text(rows: list[tuple[Any, ...]]) -> str:
    return "\n".join(["", *(" ".join(_plain(value) for value in row) for row in rows), ""])


def _plain(value: Any) -> str:
    """Amounts without needless zeros; a dash for nothing."""
    if isinstance(value, Decimal):
        text = f"{value:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return "-" if value is None else str(value)


def test_another_mapping_is_shown_before_it_holds(built: Warehouse, tmp_path: Path) -> None:
    """`retail plan --shadow`: a change of finance's files would be seen for the first time in the books."""
    settings = load_settings({"RETAIL_HOME": str(built.home), "RETAIL_AS_OF": AS_OF.isoformat()})
    lines = (settings.dbt_project_path / "seeds" / "account_mapping.csv").read_text().splitlines()
    changed = tmp_path / "account_mapping.csv"
    changed.write_text(
        "\n".join(line.replace(",4000", ",4100") if line.startswith("US,revenue") else line for line in lines)
    )
    before = built.path.read_bytes()
    found = shadow_plan(settings, str(changed), ["US", "DE"], Console(file=io.StringIO()))
    assert built.path.read_bytes() == before
    moved = built.query(
        "select entry_id, base_credit_amount - base_debit_amount from marts.acc_journal_lines "
        "where entity_code = 'US' and account_code = '4000' order by 1"
    )
    assert len(moved) > 2
    assert [(entry["entry_id"], entry["change"]) for entry in found.entries] == [(key, "changed") for key, _ in moved]
    for entry, (_, amount) in zip(found.entries, moved, strict=True):
        for side, account in (("before", "4000"), ("after", "4100")):
            (line,) = entry[side]
            assert line["account_code"] == account
            assert line["base_credit_amount"] - line["base_debit_amount"] == amount
    differences = {"4100": Decimal(0), "4000": Decimal(0)}
    for row in found.totals:
        assert row["after_amount"] - row["before_amount"] == row["difference_amount"]
        differences[row["account_code"]] += row["difference_amount"]
    total = sum(amount for _, amount in moved)
    assert differences == {"4000": total, "4100": -total}
    assert found.statuses == []


def test_a_rebuild_from_raw_gives_the_same_bytes(project: Compiled, built: Warehouse, tmp_path: Path) -> None:
    """A mart that hangs on anything but raw: the order of its rows, what an earlier build left, or the machine."""
    rebuilt = project.empty(tmp_path / "home")
    tables = built.query(
        "select schema_name, table_name from duckdb_tables() where schema_name like 'raw%' order by all"
    )
    statements = [f"attach '{built.path}' as old (read_only)"]
    for schema, name in tables:
        statements.append(f'delete from {schema}."{name}"')
        statements.append(f'insert into {schema}."{name}" select * from old.{schema}."{name}" order by all desc')
    rebuilt.execute(";\n".join((*statements, "detach old")))
    project.make(rebuilt)
    before, after = _digests(built), _digests(rebuilt)
    assert len(before) > 30
    assert {name for name in before if before[name] != after[name]} == set()


def _digests(warehouse: Warehouse) -> dict[str, str]:
    """SHA-256 of the rows of each mart, in order, as JSON."""
    found = {}
    for (name,) in warehouse.query("select table_name from information_schema.tables where table_schema = 'marts'"):
        rows = warehouse.query(f"select to_json(mart)::varchar from marts.{name} as mart order by all")
        found[name] = hashlib.sha256(repr(rows).encode()).hexdigest()
    return found
