"""Alerts in the operations store: told once for as long as a cause lasts, and when it is over."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from retail_assets.ops import alerts
from retail_assets.ops.alerts import Cause, Recipient

NOW = datetime(2026, 11, 5, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
EVERYBODY = Recipient("mail", ("technical", "business"))
DOWN = Cause("step:load_a", "technical", "high", "team:commerce", "a could not be loaded", "refused", "wait")


def news(store: Engine, recipient: Recipient = EVERYBODY) -> list[tuple[str, str]]:
    return [(event, row["cause"]) for event, row in alerts.untold(store, recipient)]


def tell(store: Engine, recipient: Recipient = EVERYBODY, now: datetime = NOW) -> None:
    alerts.told(store, recipient.channel_id, alerts.untold(store, recipient), now)


def test_a_cause_is_told_once_until_it_is_gone_and_again_when_it_comes_back(store: Engine) -> None:
    """An alert a minute is read by nobody; one that stays silent the second time is worse."""
    alerts.observe(store, found=[DOWN], now=NOW)
    assert news(store) == [("raised", DOWN.cause)]
    tell(store)
    alerts.observe(store, found=[replace(DOWN, detail="still refused")], now=NOW + MINUTE)
    assert news(store) == []
    (row,) = alerts.rows(store)
    assert (row["detail"], row["opened_at"], row["told"]) == ("still refused", NOW, "mail")
    alerts.observe(store, gone=[DOWN.cause, "unknown"], now=NOW + 2 * MINUTE)
    assert news(store) == [("recovered", DOWN.cause)]
    tell(store)
    assert news(store) == []
    assert alerts.rows(store) == []
    alerts.observe(store, found=[DOWN], now=NOW + 3 * MINUTE)
    assert news(store) == [("raised", DOWN.cause)]
    assert alerts.rows(store)[0]["episode"] == 2


def test_a_run_is_looked_at_once(store: Engine) -> None:
    """An old failure that is read again after its recovery would raise a dead alarm."""
    run: Any = ("run-1", NOW)
    assert alerts.observe(store, found=[DOWN], now=NOW, run=run)
    alerts.observe(store, gone=[DOWN.cause], now=NOW)
    assert not alerts.observe(store, found=[DOWN], now=NOW, run=run)
    assert alerts.rows(store) == []
    assert alerts.newest_run(store) == NOW
    assert alerts.runs_looked_at(store, ["run-1", "run-2"]) == {"run-1"}


def test_what_nobody_heard_of_is_not_called_off(store: Engine) -> None:
    """'Recovered' for a fault that was never told is a riddle."""
    alerts.observe(store, found=[DOWN], now=NOW)
    alerts.observe(store, gone=[DOWN.cause], now=NOW)
    assert news(store) == []


def test_channels_hear_of_their_kind_and_owner_only(store: Engine) -> None:
    """Finance that gets every time-out stops to read; the engineer on call is not woken by a fee."""
    fee = Cause("exception:fee", "business", "low", "team:finance", "fee", "1.00 EUR at risk", "claim it")
    alerts.observe_all(store, ["exception:"], [fee], NOW)
    alerts.observe(store, found=[DOWN], now=NOW)
    assert news(store, Recipient("oncall", ("technical",))) == [("raised", DOWN.cause)]
    assert news(store, Recipient("books", ("technical", "business"), ("team:finance",))) == [("raised", fee.cause)]
    # The next list of exceptions no longer has it; other sorts of causes stay.
    alerts.observe_all(store, ["exception:"], [], NOW + MINUTE)
    assert [row["cause"] for row in alerts.rows(store)] == [DOWN.cause]


def test_a_channel_that_is_down_is_tried_again_ever_later_and_a_busy_one_waits(store: Engine) -> None:
    """A mail server that is down must not be asked every second, nor be forgotten; a storm must be one message."""
    slow = replace(EVERYBODY, throttle=5 * MINUTE)
    pauses = []
    now = NOW
    for _ in range(8):
        alerts.failed(store, slow.channel_id, "connection refused", now)
        start = now
        while not alerts.may_send(store, slow, now):
            now += MINUTE
        pauses.append((now - start) // MINUTE)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    alerts.told(store, slow.channel_id, [], now)
    assert not alerts.may_send(store, slow, now + 4 * MINUTE)
    assert alerts.may_send(store, slow, now + 5 * MINUTE)
    assert alerts.may_send(store, slow, now - 2 * MINUTE), "a clock that was put back must not silence a channel"
    assert [row["last_error"] for row in alerts.channel_rows(store)] == [None]
