"""What happened on a gateway account, before any provider's format: the providers' modules write it as they would."""

from dataclasses import dataclass
from datetime import date
from typing import Literal

MovementKind = Literal["sale", "refund", "fee", "chargeback", "chargeback_reversal"]


@dataclass(frozen=True, slots=True)
class Movement:
    """One movement of the account's balance, in minor units (ISO 4217) of the settlement currency.

    ``amount`` is signed (a refund is negative), ``fee`` positive when charged. ``at`` is Unix seconds. ``serial``
    counts from 1 within the account and never changes: identifiers are made from it. ``refund_of`` is the serial of the
    sale that a refund, chargeback or its reversal gives back. ``payout`` is the serial of the payout it is part of,
    None while it has not been paid out.
    """

    serial: int
    kind: MovementKind
    at: int
    amount: int
    fee: int
    order_id: int | None = None
    order_number: str | None = None
    order_key: str | None = None
    email: str | None = None
    country: str | None = None
    description: str = ""
    refund_of: int | None = None
    payout: int | None = None

    @property
    def net(self) -> int:
        return self.amount - self.fee


@dataclass(frozen=True, slots=True)
class LedgerPayout:
    """Money sent to the bank: ``amount`` in minor units, what its movements add up to."""

    serial: int
    at: int
    arrival: date
    amount: int


@dataclass(frozen=True, slots=True)
class GatewayLedger:
    """The whole history of one account, in order of time; the movements of a payout come before it.

    ``reference_prefix`` is put before the order number in merchant references. ``zone`` is the IANA zone of the
    account's reports.
    """

    gateway_id: str
    currency: str
    zone: str
    reference_prefix: str
    movements: tuple[Movement, ...]
    payouts: tuple[LedgerPayout, ...]
