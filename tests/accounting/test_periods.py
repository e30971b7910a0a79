"""What changes after a month was closed, through the outbox into the simulated ERPNext."""

from dataclasses import replace
from datetime import date

from sqlalchemy import Engine

from retail_assets.accounting.posting import apply
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
    with writing(sqlite_store) as connection:
        periods.close(connection, "US", Period.parse("2026-03"), closed_by="ann", closed_at=NOW, report_sha256="a" * 64)
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
