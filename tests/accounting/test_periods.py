"""What changes after a month was closed, through the outbox into the simulated ERPNext."""

from dataclasses import replace
from datetime import date

import pytest
from sqlalchemy import Engine

from retail_assets.accounting.posting import PeriodClosedError, apply
from retail_assets.accounting.verify import verify
from retail_assets.ops import outbox, periods
from retail_assets.ops.periods import Period
from retail_assets.ops.store import writing
from tests.accounting.ledgers import BOOKS, NOW, amounts, booked, plan_for
from tests.erp.books import Erp


def test_a_closed_month_stays_as_it_was(sqlite_store: Engine, erp: Erp) -> None:
    """A late fact, a correction or a withdrawal was dated in a month that had been closed and reported."""

    def post(wanted: dict[str, str]) -> None:
        books = replace(BOOKS, open_from=periods.open_from(sqlite_store, "US"))
        plan = plan_for(sqlite_store, amounts(wanted), books)
        assert apply(plan, sqlite_store, erp.poster, now=NOW, actor="ann", run_id="run").complete

    post({"kept": "1", "changed": "2", "withdrawn": "3"})
    _close_march(sqlite_store)
    post({"kept": "1", "changed": "20", "late": "4"})
    post({"kept": "1", "changed": "20", "late": "4"})

    march, april = date(2026, 3, 15), date(2026, 4, 1)
    posted = {row.posting_key: row.posting_date for row in outbox.postings(sqlite_store)}
    assert posted == {
        "kept#1": march,
        "changed#1": march,
        "withdrawn#1": march,
        "changed#1!reversal": april,
        "changed#2": april,
        "withdrawn#1!reversal": april,
        "late#1": april,
    }
    assert booked(erp.app.state.site) == {"kept": 1, "changed": 20, "late": 4}
    remarks = {
        document["platform_ref"]: (document["posting_date"], document["user_remark"])
        for row in erp.app.state.site.find(
            "Journal Entry", fields=["name"], filters=None, order_by="name asc", start=0, length=0
        )
        for document in [erp.app.state.site.fetch("Journal Entry", row["name"])]
    }
    assert remarks["late#1"] == ("2026-04-01", "Entry late (of 2026-03-15)")
    assert remarks["changed#2"] == ("2026-04-01", "Entry changed (of 2026-03-15)")
    assert remarks["kept#1"][0] == "2026-03-15"
    assert remarks["changed#1!reversal"] == ("2026-04-01", "Reversal of changed#1 (of 2026-03-15): Entry changed")


def test_a_plan_made_before_the_close_is_refused(sqlite_store: Engine, erp: Erp) -> None:
    """A plan in the hands of a run that waited for the lock would date documents in the month just closed."""
    plan = plan_for(sqlite_store, amounts({"late": "4"}))
    _close_march(sqlite_store)
    with pytest.raises(PeriodClosedError, match="plan again"):
        apply(plan, sqlite_store, erp.poster, now=NOW, actor="ann", run_id="run")
    assert erp.entries() == []
    assert outbox.postings(sqlite_store) == []


def test_a_month_opened_by_hand_is_found(sqlite_store: Engine) -> None:
    """Who deletes the row in the operations store could change a month that was reported."""
    _close_march(sqlite_store)
    assert verify(sqlite_store, None, {}) == []
    with sqlite_store.begin() as connection:
        connection.exec_driver_sql("DELETE FROM closed_periods")
    assert [problem.code for problem in verify(sqlite_store, None, {})] == ["closed_period_changed"]


def _close_march(store: Engine) -> None:
    with writing(store) as connection:
        periods.close(connection, "US", Period.parse("2026-03"), closed_by="ann", closed_at=NOW, report_sha256="a" * 64)
