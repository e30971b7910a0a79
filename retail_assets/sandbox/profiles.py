"""Who the simulated retailer is: its stores, gateway accounts and banks, under the names of retail.yaml."""

from dataclasses import dataclass
from datetime import time
from decimal import Decimal
from typing import Final, Literal

from retail_assets.sandbox.calendars import PayoutCalendar
from retail_assets.sandbox.minor import half_up

#: Countries whose cards Stripe prices as European.
EEA: Final = frozenset({"AT", "BE", "DE", "DK", "ES", "FI", "FR", "IE", "IT", "LU", "NL", "PL", "PT", "SE"})


@dataclass(frozen=True, slots=True)
class TaxRate:
    """One WooCommerce tax rate: ``rate`` in millionths, ``jurisdiction`` who gets the tax, in the ledger's words."""

    id: int
    country: str
    state: str
    name: str
    rate: int
    priority: int
    tax_class: str
    jurisdiction: str
    city: str = ""

    @property
    def rate_code(self) -> str:
        """WooCommerce's COUNTRY-STATE-NAME-PRIORITY in capitals."""
        parts = [part for part in (self.country, self.state, self.name, str(self.priority)) if part]
        return "-".join(parts).upper()

    @property
    def percent(self) -> Decimal:
        return Decimal(self.rate) / 10_000


@dataclass(frozen=True, slots=True)
class StoreProfile:
    """One WooCommerce store."""

    store_id: str
    brand: str
    #: Public address, as its plugins note it at the gateways; the sandbox itself is served wherever a port is free.
    site_url: str
    entity_code: str
    currency: str
    currency_name: str
    currency_symbol: str
    country: str
    zone: str
    prices_include_tax: bool
    share: int
    first_id: int
    #: 0 when the order number is the order id; otherwise the first number of a sequential-number plugin.
    first_number: int
    #: Whether its Stripe plugin is new enough to note the refund's id on the refund itself.
    notes_refund_id: bool
    shipping_prices: tuple[int, ...]
    #: A coin's worth of the currency, for fees and tips.
    small_amount: int
    tax_rates: tuple[TaxRate, ...]


@dataclass(frozen=True, slots=True)
class GatewayProfile:
    """One Stripe account: its fees (basis points and a fixed part, in minor units) and its payout calendar.

    ``debits_bank``: what is missing on a payout day is taken from the bank account instead of waiting for new sales.
    """

    gateway_id: str
    store_id: str
    bank_id: str
    entity_code: str
    currency: str
    reference_prefix: str
    home_countries: frozenset[str]
    home_basis_points: int
    foreign_basis_points: int
    fixed_fee: int
    dispute_fee: int
    radar_fee: int
    calendar: PayoutCalendar
    debits_bank: bool = False

    def fee(self, amount: int, card_country: str) -> int:
        """Fee of a charge of ``amount`` minor units of the settlement currency, rounded half up."""
        points = self.home_basis_points if card_country in self.home_countries else self.foreign_basis_points
        return half_up(amount * points, 10_000) + self.fixed_fee


@dataclass(frozen=True, slots=True)
class ChannelProfile:
    """An account at another gateway than Stripe: fees in basis points and a fixed part, in minor units.

    ``share`` is per mille of the store's ordinary paid orders. ``pays_at_once``: a payout takes all that is there, not
    only what became available some days after the sale. ``clearing_account`` mirrors its balance in the books.
    ``reports_paid_out_only``: what is not paid out yet is in no record that it delivers. ``credentials`` name the
    variables that hold the keys of its API; an account without any delivers files.
    """

    gateway_id: str
    system: str
    store_id: str
    bank_id: str
    entity_code: str
    currency: str
    reference_prefix: str
    payment_method: str
    payment_title: str
    share: int
    basis_points: int
    fixed_fee: int
    calendar: PayoutCalendar
    bank_name: str
    clearing_account: str
    pays_at_once: bool = False
    reports_paid_out_only: bool = False
    credentials: tuple[str, ...] = ()

    def fee(self, amount: int) -> int:
        """Fee of a sale of ``amount`` minor units, rounded half up."""
        return half_up(amount * self.basis_points, 10_000) + self.fixed_fee


@dataclass(frozen=True, slots=True)
class TaxEngineProfile:
    """An AvaTax account; ``authorities`` say who is behind a store's tax rate: id → level, code and name."""

    engine_id: str
    store_id: str
    account_id: str
    company_code: str
    credential: str
    authorities: dict[int, tuple[Literal["state", "city"], str, str]]


@dataclass(frozen=True, slots=True)
class LogisticsProfile:
    """A logistics provider that ships for one store and reports by files."""

    provider_id: str
    store_id: str
    carrier: str


@dataclass(frozen=True, slots=True)
class BankProfile:
    """One bank account and the company's regular payments over it, in minor units."""

    bank_id: str
    entity_code: str
    name: str
    bic: str
    account: str
    is_iban: bool
    currency: str
    country: str
    zone: str
    opening_balance: int
    rent: int
    salaries: int
    landlord: str
    payroll: str
    utility: str
    wholesale_customers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EntityProfile:
    """One company of the ERP."""

    code: str
    company: str
    abbreviation: str
    country: str
    currency: str
    zone: str


ENTITIES: Final = {
    "US": EntityProfile("US", "Cedar & Pine LLC", "CP", "United States", "USD", "America/New_York"),
    "DE": EntityProfile("DE", "Lindenhof GmbH", "LH", "Germany", "EUR", "Europe/Berlin"),
    "JP": EntityProfile("JP", "Aoi K.K.", "AO", "Japan", "JPY", "Asia/Tokyo"),
}

STORES: Final = {
    "cedar_us": StoreProfile(
        store_id="cedar_us", brand="Cedar & Pine", site_url="https://cedar-and-pine.example",
        entity_code="US", currency="USD",
        currency_name="United States (US) dollar", currency_symbol="$", country="US", zone="America/New_York",
        prices_include_tax=False, share=50, first_id=1001, first_number=0, notes_refund_id=True,
        shipping_prices=(0, 650, 1200), small_amount=150,
        tax_rates=(
            TaxRate(1, "US", "NY", "NY State Tax", 40_000, 1, "standard", "US-NY"),
            TaxRate(2, "US", "NY", "NYC Tax", 48_750, 2, "standard", "US-NY", city="NEW YORK"),
            TaxRate(3, "US", "CA", "CA State Tax", 72_500, 1, "standard", "US-CA"),
        ),
    ),
    "linden_de": StoreProfile(
        store_id="linden_de", brand="Lindenhof", site_url="https://lindenhof.example",
        entity_code="DE", currency="EUR",
        currency_name="Euro", currency_symbol="€", country="DE", zone="Europe/Berlin",
        prices_include_tax=True, share=32, first_id=2001, first_number=0, notes_refund_id=True,
        shipping_prices=(0, 490, 790), small_amount=120,
        tax_rates=(
            TaxRate(1, "DE", "", "MwSt. 19%", 190_000, 1, "standard", "DE"),
            TaxRate(2, "DE", "", "MwSt. 7%", 70_000, 1, "reduced-rate", "DE"),
        ),
    ),
    "aoi_jp": StoreProfile(
        store_id="aoi_jp", brand="Aoi", site_url="https://www.aoi.example",
        entity_code="JP", currency="JPY",
        currency_name="Japanese yen", currency_symbol="¥", country="JP", zone="Asia/Tokyo",
        prices_include_tax=True, share=18, first_id=3001, first_number=3040, notes_refund_id=False,
        shipping_prices=(0, 550, 880), small_amount=110,
        tax_rates=(
            TaxRate(1, "JP", "", "消費税", 100_000, 1, "standard", "JP"),
            TaxRate(2, "JP", "", "消費税(軽減)", 80_000, 1, "reduced-rate", "JP"),
        ),
    ),
}  # fmt: skip

GATEWAYS: Final = {
    "stripe_us": GatewayProfile(
        gateway_id="stripe_us", store_id="cedar_us", bank_id="bank_us", entity_code="US", currency="USD",
        reference_prefix="CP-", home_countries=frozenset({"US"}), home_basis_points=290, foreign_basis_points=440,
        fixed_fee=30, dispute_fee=1500, radar_fee=700,
        calendar=PayoutCalendar("US", "America/New_York", frozenset(range(5)), time(9, 10), 2, 2),
    ),
    "stripe_de": GatewayProfile(
        gateway_id="stripe_de", store_id="linden_de", bank_id="bank_de", entity_code="DE", currency="EUR",
        reference_prefix="LH-", home_countries=EEA, home_basis_points=150, foreign_basis_points=325,
        fixed_fee=25, dispute_fee=2000, radar_fee=500,
        calendar=PayoutCalendar("DE", "Europe/Berlin", frozenset({4}), time(7, 30), 3, 2),
    ),
    "stripe_jp": GatewayProfile(
        gateway_id="stripe_jp", store_id="aoi_jp", bank_id="bank_jp", entity_code="JP", currency="JPY",
        reference_prefix="AO-", home_countries=frozenset({"JP"}), home_basis_points=360, foreign_basis_points=360,
        fixed_fee=0, dispute_fee=1300, radar_fee=600,
        calendar=PayoutCalendar("JP", "Asia/Tokyo", frozenset({4}), time(1, 20), 4, 2), debits_bank=True,
    ),
}  # fmt: skip

BANKS: Final = {
    "bank_us": BankProfile(
        "bank_us", "US", "Silicon Valley Bank", "SVBKUS6S", "US64SVBKUS6S3300958879", False, "USD", "US",
        "America/New_York", 18_250_000, 420_000, 2_612_540, "Hudson Yards Properties", "Gusto Payroll", "Con Edison",
        ("Prairie Home Outfitters", "Bluebird Gift Co."),
    ),
    "bank_de": BankProfile(
        "bank_de", "DE", "Commerzbank", "COBADEFFXXX", "DE89370400440532013000", True, "EUR", "DE",
        "Europe/Berlin", 9_731_200, 310_000, 1_845_017, "Speicherstadt Immobilien", "Lohnbüro Nord", "Stadtwerke Nord",
        ("Kontor Möbel GmbH", "Fjord Interiør AS"),
    ),
    "bank_jp": BankProfile(
        "bank_jp", "JP", "MUFG Bank", "BOTKJPJT", "JP0001100010001234567", False, "JPY", "JP",
        "Asia/Tokyo", 12_480_000, 385_000, 1_920_300, "港南不動産", "給与振込", "東京電力",
        ("株式会社あかり", "Sakura Select"),
    ),
}  # fmt: skip


STRIPE_CLEARING: Final = "1250"

CHANNELS: Final = {
    "paypal_us": ChannelProfile(
        gateway_id="paypal_us", system="paypal", store_id="cedar_us", bank_id="bank_us", entity_code="US",
        currency="USD", reference_prefix="WC-", payment_method="ppcp-gateway", payment_title="PayPal", share=110,
        basis_points=349, fixed_fee=49, bank_name="PAYPAL", clearing_account="1251", pays_at_once=True,
        credentials=("PAYPAL_US_CLIENT_ID", "PAYPAL_US_CLIENT_SECRET"),
        calendar=PayoutCalendar("US", "America/Los_Angeles", frozenset(range(5)), time(0, 30), 0, 2),
    ),
    "woopay_us": ChannelProfile(
        gateway_id="woopay_us", system="woopayments", store_id="cedar_us", bank_id="bank_us", entity_code="US",
        currency="USD", reference_prefix="", payment_method="woocommerce_payments", payment_title="Card", share=60,
        basis_points=290, fixed_fee=30, bank_name="WOOPAYMENTS", clearing_account="1252",
        credentials=("WOOPAY_US_CONSUMER_KEY", "WOOPAY_US_CONSUMER_SECRET"),
        calendar=PayoutCalendar("US", "America/New_York", frozenset(range(5)), time(8, 5), 2, 2),
    ),
    "adyen_de": ChannelProfile(
        gateway_id="adyen_de", system="adyen", store_id="linden_de", bank_id="bank_de", entity_code="DE",
        currency="EUR", reference_prefix="LH", payment_method="adyen_card", payment_title="Kreditkarte", share=140,
        basis_points=120, fixed_fee=11, bank_name="ADYEN", clearing_account="1251",
        reports_paid_out_only=True,
        calendar=PayoutCalendar("DE", "Europe/Amsterdam", frozenset({2}), time(2, 15), 2, 1),
    ),
    "klarna_de": ChannelProfile(
        gateway_id="klarna_de", system="klarna", store_id="linden_de", bank_id="bank_de", entity_code="DE",
        currency="EUR", reference_prefix="", payment_method="klarna_payments", payment_title="Rechnung", share=60,
        basis_points=299, fixed_fee=35, bank_name="KLARNA", clearing_account="1252",
        credentials=("KLARNA_DE_PASSWORD",), reports_paid_out_only=True,
        calendar=PayoutCalendar("DE", "Europe/Stockholm", frozenset({1}), time(6, 0), 3, 1),
    ),
    "mollie_de": ChannelProfile(
        gateway_id="mollie_de", system="mollie", store_id="linden_de", bank_id="bank_de", entity_code="DE",
        currency="EUR", reference_prefix="", payment_method="mollie_wc_gateway_ideal", payment_title="iDEAL", share=60,
        basis_points=0, fixed_fee=29, bank_name="MOLLIE", clearing_account="1253",
        credentials=("MOLLIE_DE_API_KEY",),
        calendar=PayoutCalendar("DE", "Europe/Amsterdam", frozenset({3}), time(1, 0), 1, 1),
    ),
    "kawa_jp": ChannelProfile(
        gateway_id="kawa_jp", system="settlement_file", store_id="aoi_jp", bank_id="bank_jp", entity_code="JP",
        currency="JPY", reference_prefix="AO-", payment_method="kawa_card", payment_title="クレジットカード", share=150,
        basis_points=325, fixed_fee=0, bank_name="KAWA CARD", clearing_account="1251",
        # Its files know one day of a payout: the one on which the money is on the bank.
        calendar=PayoutCalendar("JP", "Asia/Tokyo", frozenset({0}), time(4, 0), 2, 0),
    ),
}  # fmt: skip

TAX_ENGINES: Final = {
    "avatax_us": TaxEngineProfile(
        engine_id="avatax_us", store_id="cedar_us", account_id="2000123456", company_code="CEDARPINE",
        credential="AVATAX_US_LICENSE_KEY",
        authorities={
            1: ("state", "36", "NEW YORK"), 2: ("city", "51000", "NEW YORK CITY"), 3: ("state", "06", "CALIFORNIA"),
        },
    ),
}  # fmt: skip

LOGISTICS: Final = {"lager_de": LogisticsProfile("lager_de", "linden_de", "DHL")}

#: The store whose parcels leave from the ERP's own warehouse.
ERP_SHIPS_FOR: Final = "cedar_us"
#: Stores whose key may write; those of the others may only read.
WRITABLE_STORES: Final = frozenset({ERP_SHIPS_FOR})


def channels_of(store_id: str) -> tuple[ChannelProfile, ...]:
    """The accounts beside Stripe's that take the money of a store."""
    return tuple(channel for channel in CHANNELS.values() if channel.store_id == store_id)


def clearing_account_of(gateway_id: str) -> tuple[str, str]:
    """The entity and the account in its books that mirror a gateway account's balance."""
    channel = CHANNELS.get(gateway_id)
    if channel:
        return channel.entity_code, channel.clearing_account
    return GATEWAYS[gateway_id].entity_code, STRIPE_CLEARING


def gateway_of(store_id: str) -> GatewayProfile:
    """The gateway account that takes the money of a store."""
    return next(gateway for gateway in GATEWAYS.values() if gateway.store_id == store_id)


def store_credentials(store_id: str) -> tuple[str, str]:
    """Names of the variables that hold a store's consumer key and consumer secret."""
    return f"{store_id.upper()}_CONSUMER_KEY", f"{store_id.upper()}_CONSUMER_SECRET"


def gateway_credential(gateway_id: str) -> str:
    """Name of the variable that holds a gateway account's API key."""
    return f"{gateway_id.upper()}_API_KEY"


ERP_CREDENTIALS: Final = ("ERP_MAIN_API_KEY", "ERP_MAIN_API_SECRET")
