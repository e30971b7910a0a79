"""The only reader of the environment and of ``retail.yaml``.

Every value is checked before anything runs; an error names the path in the file, the value and what is allowed.
"""

import os
import pwd
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Union
from urllib.parse import urlsplit
from zoneinfo import available_timezones

import yaml
from croniter import CroniterError, croniter
from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    create_model,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from retail_assets.contracts import SYSTEMS, Setting, System, Variant, table
from retail_assets.mapping import CsvMapping, MappingError
from retail_assets.money import UnknownCurrencyError, exponent

_CHECKOUT: Final = Path(__file__).resolve().parent.parent
_REFERENCE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_LOGIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_LONGEST_SHOWN_VALUE: Final = 80
_INTERVAL: Final = re.compile(r"([1-9][0-9]?)([mh])")
_CRON_FIELDS: Final = 5
_NEVER: Final = "never"
_THIS_MACHINE: Final = frozenset({"127.0.0.1", "localhost", "::1"})
#: How often what is reached over http is asked, by section; files are picked up when they are there.
_POLLS: Final = {"stores": "*/10 * * * *", "gateways": "*/30 * * * *", "tax": "0 * * * *", "erps": "0 * * * *"}
_SHORTEST_WEBHOOK_SECRET: Final = 16
_HEXADECIMAL: Final = re.compile(r"(?:[0-9A-Fa-f]{2})+")
#: Amounts have fourteen digits before the point.
_LARGEST_AMOUNT: Final = 10**14


class SettingsError(Exception):
    """The configuration cannot be used; ``problems`` holds one line for each thing to mend."""

    def __init__(self, source: str, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__(f"{source} cannot be used:\n" + "\n".join(f"  - {problem}" for problem in self.problems))


def _known_time_zone(value: str) -> str:
    if value not in available_timezones():
        raise ValueError("must be an IANA time zone, for example Europe/Berlin")
    return value


def _known_currency(value: str) -> str:
    try:
        exponent(value)
    except UnknownCurrencyError as error:
        raise ValueError("must be an ISO 4217 currency code, for example EUR") from error
    return value


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an address such as https://shop.example.com")
    try:
        _ = parts.port
    except ValueError as error:
        raise ValueError("must have a port from 0 to 65535, or none") from error
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("must be a bare address: no user, password, query or fragment")
    if _is_nobodys(parts.hostname):
        raise ValueError("must be the address of a system; where machines keep what they know of themselves is none")
    return value.rstrip("/")


def _is_nobodys(host: str) -> bool:
    """Link-local, multicast or no address at all; private ones may be an ERP's."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address.is_link_local or address.is_multicast or address.is_unspecified


def _exact(value: Any) -> Any:
    if not isinstance(value, str | Decimal):
        raise ValueError('must be a decimal in quotes, for example "2.9": without them it is read inexactly')
    return value


def _private_url(value: str) -> str:
    """For systems that are sent the secret itself; a store on plain http is sent OAuth signatures only."""
    parts = urlsplit(value)
    if parts.scheme == "http" and parts.hostname not in _THIS_MACHINE:
        raise ValueError("must use https: the key would travel in the clear (plain http only to this machine)")
    return value


def _cron(value: str) -> str:
    interval = _INTERVAL.fullmatch(value)
    if interval:
        every, whole = int(interval[1]), 60 if interval[2] == "m" else 24
        if every >= whole or whole % every:
            raise ValueError("must divide the hour (5m, 10m, 30m) or the day (1h, 2h, 6h) evenly")
        step = "*" if every == 1 else f"*/{every}"
        return f"{step} * * * *" if interval[2] == "m" else f"0 {step} * * *"
    if len(value.split()) != _CRON_FIELDS or not croniter.is_valid(value):
        raise ValueError("must be an interval such as 10m or 2h, or a cron expression such as 0 6 * * 1-5")
    try:
        croniter(value).get_next()
    except CroniterError:
        raise ValueError("never happens: there is no such day") from None
    return " ".join(value.split())


Id = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
EntityCode = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9]{0,9}$")]
CountryCode = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
CurrencyCode = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$"), AfterValidator(_known_currency)]
TimeZone = Annotated[str, AfterValidator(_known_time_zone)]
BaseUrl = Annotated[str, AfterValidator(_http_url)]
PrivateUrl = Annotated[BaseUrl, AfterValidator(_private_url)]
Cron = Annotated[str, AfterValidator(_cron)]
Exact = Annotated[
    Decimal, BeforeValidator(_exact), WithJsonSchema({"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?$"})
]
Secret = Annotated[
    SecretStr,
    WithJsonSchema({"type": "string", "pattern": _REFERENCE.pattern, "description": "Only as ${NAME}."}),
]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Instance(_Model):
    """What the blocks of all sections have in common.

    The models that check ``retail.yaml`` are made from these and from what the systems declare (``source.yaml``): an
    API adds ``base_url``, ``requests_per_second``, ``timeout_seconds`` and ``retries``, files add a ``folder``, and
    each variant its own settings.
    """

    id: Id
    system: str
    poll: Annotated[str, AfterValidator(lambda value: value if value == _NEVER else _cron(value))] | None = Field(
        None,
        description="How often it is loaded: an interval (10m, 2h), a cron expression in the time zone of schedules, "
        "or never (then with the nightly load only). If left out: stores 10m, gateways 30m, tax engines and ERPs 1h; "
        "files when they are complete.",
    )

    @property
    def rhythm(self) -> str | None:
        """Cron expression of its polls; None if it is not polled."""
        if self.poll is not None:
            return None if self.poll == _NEVER else self.poll
        return None if self.declared.access == "files" else _POLLS.get(type(self).section())

    @property
    def declared(self) -> Variant:
        """What the source system declares about this kind of instance."""
        return variant_of(type(self).section(), self.system)[1]

    @property
    def source(self) -> str:
        """The source system (folder under ``sources/``, schema ``raw_<source>``) that loads it."""
        return variant_of(type(self).section(), self.system)[0].name

    @classmethod
    def section(cls) -> str:
        """The section of ``retail.yaml`` it belongs to."""
        raise NotImplementedError

    def secret(self, name: str) -> str:
        """The value of a setting that is a secret; AttributeError if this variant has no such setting."""
        return getattr(self, name).get_secret_value()

    @property
    def webhook_keys(self) -> tuple[str, ...]:
        """The keys its webhooks are signed with; none if it sends none."""
        return tuple(key.get_secret_value() for key in getattr(self, "webhook_secrets", ()))

    def option(self, name: str) -> Any:
        """The value of a setting that the variant declares; AttributeError if it has no such setting."""
        return getattr(self, name)

    # Of variants that are reached over http; declared here for those who read, filled by ``_model_of``.
    if TYPE_CHECKING:
        base_url: str
        requests_per_second: float | None
        timeout_seconds: float
        retries: int
        folder: str


class Entity(_Model):
    """A legal entity: one set of books."""

    code: EntityCode
    name: str = Field(min_length=1)
    country: CountryCode
    base_currency: CurrencyCode = Field(description="Currency of the books.")
    time_zone: TimeZone = Field(description="Zone that decides on which day something happened in the books.")
    erp: Id = Field(description="The ERP that keeps its books.")
    company: str = Field(min_length=1, description="The ERP's own name of the entity.")


class GiftCards(_Model):
    """Which products of a store are gift cards, and what it owed on cards when our records begin."""

    skus: tuple[Annotated[str, StringConstraints(min_length=1)], ...] = Field(
        (), description="Stock keeping units that are gift cards; case does not matter."
    )
    products: tuple[Annotated[int, Field(gt=0)], ...] = Field(
        (), description="Products or variations that are gift cards, by the store's own id."
    )
    opening: Mapping[CurrencyCode, Exact] = Field(
        default_factory=dict,
        description="What was owed on cards, by currency, before the first order that is loaded. Only where it is "
        "given can more be redeemed than was issued.",
    )

    @field_validator("opening")
    @classmethod
    def _opening_has_cents(cls, opening: Mapping[str, Decimal]) -> Mapping[str, Decimal]:
        for currency, amount in opening.items():
            if amount < 0 or amount >= _LARGEST_AMOUNT or amount != round(amount, exponent(currency)):
                raise ValueError(f"{currency} {amount} is no amount of money that can be owed")
        return opening


class Stock(_Model):
    """Where a store's stock comes from, and how much of it may be changed in the store at a time."""

    warehouses: tuple[Annotated[str, StringConstraints(min_length=1)], ...] = Field(
        min_length=1,
        description="Warehouses or locations that it sells from, as the ERP of its entity names them. Stores that "
        "share one share what is promised.",
    )
    reservations: Literal["separate", "include_orders"] = Field(
        "separate",
        description="What the ERP reserves: only other things, so the store's open orders come on top, or those orders "
        "too, once they are there.",
    )
    safety_quantity: Exact = Field(
        Decimal(0), ge=0, max_digits=12, decimal_places=4, description="Pieces of each article that are not offered."
    )
    max_delay_minutes: int = Field(
        60, ge=1, le=43_200, description="How long a movement in the ERP may take until the store shows it."
    )
    max_changes_per_run: int = Field(
        100, ge=1, description="Most articles that one run may change; a run that would change more changes none."
    )
    max_change_percent: Exact = Field(
        Decimal(25), gt=0, le=100, description="Most of the store's articles, in percent, that one run may change."
    )
    time_zone: TimeZone = Field("UTC", description="Zone of the ERP's clock, which movements are dated by.")

    @field_validator("warehouses")
    @classmethod
    def _warehouses_differ(cls, warehouses: tuple[str, ...]) -> tuple[str, ...]:
        for name, count in Counter(warehouses).items():
            if count > 1:
                raise ValueError(f"{name!r} is named {count} times; its stock would count as often")
        return warehouses


class Store(Instance):
    """A store."""

    name: str = Field(min_length=1)
    entity: EntityCode
    gift_cards: GiftCards = Field(
        default_factory=GiftCards,  # pyright: ignore[reportArgumentType]
        description="Its gift cards: selling one is no revenue but a debt to whoever holds the card.",
    )
    stock: Stock | None = Field(
        None, description="Where its stock comes from. Left out, its stock is neither compared nor written."
    )
    former_site_urls: tuple[BaseUrl, ...] = Field(
        (), description="Public addresses that it had before, which gateways noted with the payments of that time."
    )

    if TYPE_CHECKING:
        site_url: str | None
        consumer_key: SecretStr
        consumer_secret: SecretStr

    @classmethod
    def section(cls) -> str:
        return "stores"


class GatewayStore(_Model):
    """A store that a gateway account serves."""

    store: Id
    payment_method: str = Field("stripe", min_length=1, description="Slug of the payment method in the store's orders.")


class FeeRule(_Model):
    """A rule of a fee contract: what a sale costs. Of the rules that fit, the one with the most conditions holds."""

    id: Id = Field(description="Name of the rule in claims.")
    percent: Exact = Field(Decimal(0), ge=0, le=100, decimal_places=6, description="Part of the sale, in percent.")
    fixed: Exact = Field(
        Decimal(0), ge=0, max_digits=12, decimal_places=4, description="Fixed part, in units of the currency."
    )
    minimum: Exact | None = Field(
        None, ge=0, max_digits=12, decimal_places=4, description="Least that a sale costs, in units of the currency."
    )
    maximum: Exact | None = Field(
        None, ge=0, max_digits=12, decimal_places=4, description="Most that a sale costs (a cap), likewise."
    )
    adds_interchange: bool = Field(
        False,
        description="Interchange and scheme fees come on top (interchange++), as the gateway says of each sale. "
        "Adyen and Stripe say so; sales of which nothing is said are not checked.",
    )
    currency: CurrencyCode | None = Field(
        None, description="Only sales settled in it; required by a fixed part, minimum or maximum."
    )
    payment_method: str | None = Field(None, min_length=1, description="Only this method, as the gateway names it.")
    card_brand: str | None = Field(None, min_length=1, description="Only this brand, as the gateway names it.")
    region: Literal["domestic", "eea", "international"] | None = Field(
        None,
        description="Only cards from the entity's country, from another country of the EEA, or from abroad (where no "
        "rule for the EEA fits).",
    )
    valid_from: date | None = Field(None, description="First day of sales it holds for.")
    valid_to: date | None = Field(None, description="Last day of sales it holds for.")

    @property
    def conditions(self) -> tuple[str | None, ...]:
        """What a sale must be; None where anything goes. Names compare without regard to case."""
        method, brand = (value and value.lower() for value in (self.payment_method, self.card_brand))
        return self.currency, method, brand, self.region

    @property
    def specificity(self) -> int:
        """How many conditions it has."""
        return sum(condition is not None for condition in self.conditions)

    @model_validator(mode="after")
    def _is_complete(self) -> "FeeRule":
        if not {"percent", "fixed"} & self.model_fields_set:
            raise ValueError("has neither percent nor fixed")
        if (self.fixed or self.minimum is not None or self.maximum is not None) and self.currency is None:
            raise ValueError("has a fixed part, minimum or maximum and needs its currency")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError("has a minimum above its maximum")
        if self.valid_from and self.valid_to and self.valid_from > self.valid_to:
            raise ValueError("ends (valid_to) before it begins (valid_from)")
        return self


class Gateway(Instance):
    """An account at a payment gateway, or whoever else collects money for us."""

    entity: EntityCode
    bank: Id = Field(description="Bank account its payouts go to.")
    stores: tuple[GatewayStore, ...] = Field(min_length=1)
    order_reference: Literal["number", "id"] = Field(
        "number", description="What the order reference at the gateway holds: the order's number or its id."
    )
    reference_prefix: str = Field("", description="Prefix before the order number in merchant references.")
    reports_after_days: int = Field(
        0,
        ge=0,
        le=60,
        description="Days until a payment shows in what the gateway delivers: its payout rhythm, if it delivers "
        "settlement files only. A payment is missed that much later.",
    )
    fees: tuple[FeeRule, ...] = Field((), description="Fee contract, against which the fee of each sale is checked.")

    if TYPE_CHECKING:
        api_key: SecretStr

    @classmethod
    def section(cls) -> str:
        return "gateways"


class Bank(Instance):
    """A bank account whose statements are dropped into a folder."""

    system: str = Field(alias="format")
    entity: EntityCode
    account: str = Field(min_length=4, description="IBAN or other account id, as the statements have it.")
    currency: CurrencyCode

    @classmethod
    def section(cls) -> str:
        return "banks"


class TaxEngine(Instance):
    """An account at a tax engine."""

    entity: EntityCode
    stores: tuple[Id, ...] = Field((), description="Stores whose sales it taxes; all of the entity's if left out.")
    order_reference: Literal["id", "number"] = Field(
        "id", description="What the documents name: the order's id, as the stores' plugins do, or its number."
    )

    @classmethod
    def section(cls) -> str:
        return "tax"


class Erp(Instance):
    """An ERP that keeps books."""

    if TYPE_CHECKING:
        api_key: SecretStr
        api_secret: SecretStr
        key_field: str

    @classmethod
    def section(cls) -> str:
        return "erps"


class FulfilmentProvider(Instance):
    """A warehouse or logistics provider that ships for stores."""

    stores: tuple[Id, ...] = Field(min_length=1, description="Stores it ships for.")

    @classmethod
    def section(cls) -> str:
        return "fulfilment"


_HTTP_FIELDS: Final[dict[str, Any]] = {
    "timeout_seconds": (float, Field(60, gt=0, le=600, description="How long to wait for an answer.")),
    "retries": (int, Field(5, ge=0, le=10, description="How often a failed read is tried again.")),
}
_DROP_FIELDS: Final[dict[str, Any]] = {
    "settle_seconds": (
        int,
        Field(
            60,
            ge=0,
            le=3600,
            description="A file is complete when it was not written to for so long, unless somebody runs the load by "
            "hand. Names ending in .tmp, .part, .partial or .filepart, and hidden ones, are never read.",
        ),
    ),
    "done_suffix": (
        str,
        Field(
            "",
            pattern=r"^(\.[A-Za-z0-9]+)?$",
            description="If the sender marks what it has finished, the suffix of its markers, for example .done: a "
            "file is then read only once one of its name with this suffix lies beside it.",
        ),
    ),
}
_FOLDER: Final = Field(min_length=1, description="Below RETAIL_HOME/inbox, or an absolute path.")
_EXPORT_FOLDER: Final = Field(
    "",
    validate_default=True,
    description="Below RETAIL_HOME/exports, or an absolute path; named like the id if left out.",
)
_SETTING_TYPES: Final[dict[str, Any]] = {
    "text": Annotated[str, StringConstraints(min_length=1)],
    "secret": Secret,
    "url": BaseUrl,
    "integer": int,
    "boolean": bool,
    "csv_mapping": CsvMapping,
}


def variant_of(section: str, name: str) -> tuple[System, Variant]:
    """The system that declares a variant of a section, and the variant; KeyError if none does."""
    for system in SYSTEMS.values():
        if system.section == section and name in system.variants:
            return system, system.variants[name]
    raise KeyError(f"{section}: {name}")


def _model_of(base: type[Instance], variant: Variant) -> type[Instance]:
    """The model of one variant: what its section has, how it is reached, and its own settings."""
    tag = Literal[variant.name]  # pyright: ignore[reportInvalidTypeForm]
    alias: dict[str, Any] = {"alias": "format"} if base is Bank else {}
    default = variant.name if base is Store else ...
    fields: dict[str, Any] = {"system": (tag, Field(default, description=f"{variant.title}.", **alias))}
    if variant.access == "http":
        # A store on plain http is sent OAuth signatures only; every other API is sent the secret itself.
        url = BaseUrl if base is Store else PrivateUrl
        fields["base_url"] = (url, Field(description="Address of the system; the API's own path is appended to it."))
        limit = Field(variant.requests_per_second, gt=0, le=1000, description="Client-side limit. " + variant.quota)
        fields |= {"requests_per_second": (float | None, limit), **_HTTP_FIELDS}
    elif variant.access == "export":
        fields["folder"] = (Annotated[str, AfterValidator(_export_folder)], _EXPORT_FOLDER)
    else:
        fields["folder"] = (str, _FOLDER)
        fields |= _DROP_FIELDS
    if variant.webhooks is not None:
        fields["webhook_secrets"] = _webhook_secrets(variant.webhooks)
    for setting in variant.settings:
        fields[setting.name] = _setting_field(setting)
    return create_model(f"{base.__name__}_{variant.name}", __base__=base, __doc__=f"{variant.title}.", **fields)


def _webhook_secrets(scheme: str) -> tuple[Any, Any]:
    """The keys of a sender of webhooks: one, or two while it is rotated; Adyen's are hexadecimal."""

    def long_enough(secret: SecretStr) -> SecretStr:
        value = secret.get_secret_value()
        if len(value) < _SHORTEST_WEBHOOK_SECRET:
            raise ValueError(f"must have at least {_SHORTEST_WEBHOOK_SECRET} characters, so that nobody guesses it")
        if scheme == "adyen" and not _HEXADECIMAL.fullmatch(value):
            raise ValueError("must be the HMAC key as Adyen shows it, in hexadecimal")
        return secret

    return tuple[Annotated[Secret, AfterValidator(long_enough)], ...], Field(
        (), max_length=2, description="Keys its webhooks are signed with; two while one is replaced. None: no webhooks."
    )


def _export_folder(value: str, info: ValidationInfo) -> str:
    """The whole path: whoever writes there knows the block of ``retail.yaml`` only."""
    exports = (info.context or {}).get("exports", "")
    path = Path(exports, value or info.data.get("id", ""))
    if not path.is_absolute():
        raise ValueError("must be an absolute path")
    return str(path)


def _setting_field(setting: Setting) -> tuple[Any, Any]:
    kind: Any = Literal[setting.choices] if setting.type == "choice" else _SETTING_TYPES[setting.type]  # pyright: ignore[reportInvalidTypeForm]
    if setting.pattern:
        kind = Annotated[str, StringConstraints(pattern=setting.pattern)]
    if setting.required:
        return kind, Field(description=setting.description)
    return (kind if setting.default is not None else kind | None), Field(
        setting.default, description=setting.description
    )


def _any_of(base: type[Instance]) -> Any:
    """One model for a section: the block's ``system`` (of a bank: ``format``) decides which variant it is."""
    models = [
        _model_of(base, variant)
        for system in SYSTEMS.values()
        if system.section == base.section()
        for variant in system.variants.values()
    ]
    if not models:
        return base
    union = Union[tuple(models)]  # noqa: UP007 - made at run time
    if len(models) == 1:
        return union
    return Annotated[union, Field(discriminator="system")]


if TYPE_CHECKING:
    AnyStore = Store
    AnyGateway = Gateway
    AnyBank = Bank
    AnyTaxEngine = TaxEngine
    AnyErp = Erp
    AnyProvider = FulfilmentProvider
else:
    AnyStore = _any_of(Store)
    AnyGateway = _any_of(Gateway)
    AnyBank = _any_of(Bank)
    AnyTaxEngine = _any_of(TaxEngine)
    AnyErp = _any_of(Erp)
    AnyProvider = _any_of(FulfilmentProvider)


class Policy(_Model):
    """What an entity's finance team has decided."""

    revenue_recognition: Literal["capture", "shipment", "completion"] = Field(
        "capture",
        description="Event that makes a sale revenue: the capture of its payment, each shipment of its goods, or its "
        "completion in the store. Until then what was captured is a customer's deposit; its tax is owed at once.",
    )
    posting: Literal["lines", "summary"] = Field(
        "lines",
        description="What is posted: an entry for each sale, refund and line of a gateway's ledger, or one for all of "
        "a day, store, gateway, currency and kind.",
    )
    tolerance_minor_units: int = Field(1, ge=0, le=100, description="Largest rounding difference a match may have.")
    settlement_grace_days: int = Field(2, ge=0, le=60, description="Days a record may wait for its other side.")
    bank_grace_days: int = Field(
        3, ge=0, le=60, description="Working days after its arrival date until a payout must be on the bank."
    )
    disputes: Literal["receivable", "loss"] = Field(
        "receivable",
        description="What disputed money is until the bank has decided: owed to us until it is lost, or lost at once.",
    )
    tips: Literal["staff", "income"] = Field(
        "staff", description="Whose tips are: the staff's, so owed to them, or the shop's own, so revenue."
    )
    tip_names: tuple[str, ...] = Field(
        ("Tip", "Tips", "Gratuity", "Trinkgeld"),
        description="Names of the fee lines of orders that are tips; case does not matter.",
    )
    invoices: Literal["none", "erp"] = Field(
        "none",
        description="Where web orders are invoiced: nowhere, or in the ERP. Then every paid order must have an invoice "
        "there and every refund of it a credit note, from the first invoice on that names an order.",
    )
    approval_limit: Exact | None = Field(
        None,
        ge=0,
        description="Largest document, in the currency of the books, that is posted without the approval of a second "
        "person; reversals likewise. No limit if left out.",
    )
    write_off_limit: Exact | None = Field(
        None,
        ge=0,
        description="Largest loss (chargebacks lost, rounding) that one entry takes without such an approval. No limit "
        "if left out.",
    )
    manual_link_limit: Exact | None = Field(
        None,
        ge=0,
        description="Largest payment or payout that one person links by hand; above it, and in other currencies than "
        "that of the books, a second person approves. No limit if left out.",
    )
    policy_approval: bool = Field(
        False,
        description="Post only under a policy and mappings (the CSV files of finance) that a second person has "
        "approved in exactly that version. Once they have been, this stays on, whatever stands here.",
    )


class Policies(_Model):
    """The default policy and what entities decide otherwise."""

    default: Policy = Policy()  # pyright: ignore[reportCallIssue]
    entities: Mapping[EntityCode, dict[str, Any]] = Field(default_factory=dict)


class Warehouse(_Model):
    """The analytical store."""

    engine: Literal["duckdb"] = "duckdb"


class Schedules(_Model):
    """When what is not polled happens; times are of ``time_zone``."""

    time_zone: TimeZone = Field("UTC", description="IANA time zone of every schedule and poll.")
    nightly_load: Cron = Field(
        "30 1 * * *",
        description="Loads every source, and compares all orders of the stores with the warehouse: finds what no poll "
        "could, such as deletions.",
    )
    daily_build: Cron = Field(
        "0 5 * * *", description="Builds the marts also if nothing was loaded: exceptions age and fall due."
    )
    keep_runs_days: int = Field(
        7, ge=1, le=3650, description="Days that Dagster keeps runs that load, build or publish; those that post stay."
    )


class _Channel(_Model):
    """What the ways of telling somebody have in common."""

    id: Id
    send: tuple[Literal["technical", "business"], ...] = Field(
        ("technical", "business"),
        min_length=1,
        description="technical: runs, loads and checks that failed, records that broke their contract. business: what "
        "does not agree, and what of it is overdue.",
    )
    owners: tuple[str, ...] = Field((), description="Only what these own, for example team:finance; all if left out.")
    throttle_minutes: int = Field(
        5, ge=0, le=1440, description="Least time between two messages; what comes in between is in the next one."
    )


class MailChannel(_Channel):
    """E-mail over SMTP."""

    kind: Literal["mail"]
    host: str = Field(min_length=1, description="The mail server.")
    port: int = Field(587, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="none only to a mail server on this machine, and without a user."
    )
    user: str | None = Field(None, min_length=1)
    password: Secret | None = None
    sender: str = Field(pattern=r"^[^@\s]+@[^@\s]+$", description="Address the messages come from.")
    to: tuple[Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+$")], ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _is_safe(self) -> "MailChannel":
        if (self.user is None) != (self.password is None):
            raise ValueError("needs both user and password, or neither")
        if self.security == "none" and (self.user is not None or self.host not in _THIS_MACHINE):
            raise ValueError("security: none is for a mail server on this machine, without a user")
        return self


class WebhookChannel(_Channel):
    """An incoming webhook that takes what Slack's takes: {"text": …}."""

    kind: Literal["webhook"]
    url: Secret
    hosts: tuple[Annotated[str, StringConstraints(min_length=1)], ...] = Field(
        min_length=1, description="Hosts it may be on, for example hooks.slack.com: the address itself is a secret."
    )

    @model_validator(mode="after")
    def _is_safe(self) -> "WebhookChannel":
        parts = urlsplit(self.url.get_secret_value())
        if parts.hostname not in self.hosts:
            raise ValueError("url is on none of hosts")
        plain = parts.scheme == "http" and parts.hostname in _THIS_MACHINE
        if parts.username or not (parts.scheme == "https" or plain):
            raise ValueError("url must use https, and name no user (plain http only to this machine)")
        return self


class Alerts(_Model):
    """Who is told when something is wrong."""

    channels: tuple[Annotated[MailChannel | WebhookChannel, Field(discriminator="kind")], ...] = ()
    ui_url: BaseUrl | None = Field(None, description="Address of the Dagster UI as people reach it, for links to runs.")

    @model_validator(mode="after")
    def _ids_are_unique(self) -> "Alerts":
        for name, count in Counter(channel.id for channel in self.channels).items():
            if count > 1:
                raise ValueError(f"channels: {name!r} is used {count} times")
        return self


class Operations(_Model):
    """The operations store."""

    url: Secret | None = Field(
        None, description="SQLAlchemy URL of a Postgres database; SQLite under RETAIL_HOME if left out."
    )
    shared_accounts: tuple[Annotated[str, StringConstraints(min_length=1)], ...] = Field(
        (),
        description="Users of the operating system that several people work as, in a container for one. Only as these "
        "does RETAIL_ACTOR say who somebody is.",
    )
    alerts: Alerts = Field(default_factory=Alerts, description="Who is told when something is wrong.")  # pyright: ignore[reportArgumentType]


class Webhooks(_Model):
    """The event intake: where it listens, and what it takes at most."""

    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on; a proxy in front of it ends TLS.")
    port: int = Field(
        8770, ge=0, le=65535, description="Port of the webhooks: POST /webhooks/<id of store or gateway>."
    )
    metrics_host: str = Field("127.0.0.1", min_length=1, description="Address of /healthz and /metrics.")
    metrics_port: int = Field(8771, ge=0, le=65535, description="Port of /healthz and /metrics; not for the public.")
    max_body_kilobytes: int = Field(1024, ge=16, le=16384, description="Largest body.")
    max_waiting: int = Field(
        512, ge=16, le=100_000, description="Requests under way at most, shared evenly among those that send."
    )
    max_connections: int = Field(2000, ge=16, le=100_000, description="Open connections at most.")
    trusted_proxies: tuple[Annotated[str, StringConstraints(min_length=1)], ...] = Field(
        (), description="Addresses of proxies that are believed for whom they ask."
    )
    keep_bodies_days: int = Field(
        30, ge=1, le=3650, description="Days after which the body of an event that was loaded or given up is emptied."
    )


class Canary(_Model):
    """A synthetic order without any money that is placed in a store time and again, to see whether all of it works."""

    stores: tuple[Id, ...] = Field(
        min_length=1, description="Stores it is placed in; their keys must be able to write."
    )
    schedule: Cron = Field("0 * * * *", description="When one is placed, as a cron expression (UTC).")
    late_after_minutes: int = Field(
        90, ge=1, le=10_080, description="How long one may take from the store to the marts until somebody is told."
    )


class Configuration(_Model):
    """The content of ``retail.yaml``."""

    entities: tuple[Entity, ...] = Field(min_length=1)
    stores: tuple[AnyStore, ...] = Field(min_length=1)
    gateways: tuple[AnyGateway, ...] = ()
    banks: tuple[AnyBank, ...] = ()
    tax: tuple[AnyTaxEngine, ...] = ()
    erps: tuple[AnyErp, ...] = ()
    fulfilment: tuple[AnyProvider, ...] = ()
    canary: Canary | None = Field(None, description="Synthetic orders; none are placed if left out.")
    policies: Policies = Policies()
    warehouse: Warehouse = Warehouse()
    schedules: Schedules = Schedules()  # pyright: ignore[reportCallIssue]
    operations: Operations = Operations()  # pyright: ignore[reportCallIssue]
    webhooks: Webhooks = Webhooks()  # pyright: ignore[reportCallIssue]

    @field_validator("policies")
    @classmethod
    def _policies_are_valid(cls, policies: Policies) -> Policies:
        problems = []
        for code, overrides in policies.entities.items():
            try:
                Policy.model_validate({**policies.default.model_dump(), **overrides})
            except ValidationError as error:
                for detail in error.errors():
                    problems.append(_in_words({**detail, "loc": ("policies", "entities", code, *detail["loc"])}))
        if problems:
            raise PydanticCustomError("in_words", "{problems}", {"problems": "; ".join(problems)})
        return policies

    @model_validator(mode="after")
    def _references_exist(self) -> "Configuration":
        problems = [*_duplicates(self), *_dangling(self), *_unfit_mappings(self), *_rival_fees(self)]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def entity(self, code: str) -> Entity:
        """The entity with that code; KeyError if there is none."""
        return _by_key(self.entities, "code", code)

    def bank(self, bank_id: str) -> Bank:
        """The bank account with that id; KeyError if there is none."""
        return _by_key(self.banks, "id", bank_id)

    def erp(self, erp_id: str) -> Erp:
        """The ERP with that id; KeyError if there is none."""
        return _by_key(self.erps, "id", erp_id)

    @property
    def instances(self) -> tuple[Instance, ...]:
        """Every configured source instance: stores, gateways, banks, tax engines, ERPs, logistics providers."""
        return (*self.stores, *self.gateways, *self.banks, *self.tax, *self.erps, *self.fulfilment)

    def sources_of(self, entity_code: str) -> tuple[Instance, ...]:
        """Every source that an entity's books depend on, its ERP among them, by id."""
        stores = tuple(store for store in self.stores if store.entity == entity_code)
        owned = (item for item in (*self.gateways, *self.banks, *self.tax) if item.entity == entity_code)
        names = {store.id for store in stores}
        providers = (provider for provider in self.fulfilment if names & set(provider.stores))
        found = (*stores, *owned, self.erp(self.entity(entity_code).erp), *providers)
        return tuple(sorted(found, key=lambda item: item.id))

    def policy(self, entity_code: str) -> Policy:
        """What holds for an entity: its own decisions over the default ones."""
        overrides = self.policies.entities.get(entity_code, {})
        return Policy.model_validate({**self.policies.default.model_dump(), **overrides})


@dataclass(frozen=True)
class Settings:
    """Where everything lives, what is configured, and what time it is."""

    home: Path
    config_path: Path
    configuration: Configuration
    as_of: datetime | None
    checkout: Path = _CHECKOUT
    #: Who is answerable for what is asked and decided now.
    actor: str = "retail-assets"

    @property
    def warehouse_path(self) -> Path:
        """The DuckDB file; its stem is part of dbt's relation names and never changes."""
        return self.home / "warehouse.duckdb"

    @property
    def sandbox_path(self) -> Path:
        return self.home / "sandbox"

    @property
    def dlt_path(self) -> Path:
        return self.home / "dlt"

    @property
    def dagster_path(self) -> Path:
        return self.home / "dagster"

    @property
    def dbt_project_path(self) -> Path:
        return self.checkout / "dbt_project"

    @property
    def dbt_target_path(self) -> Path:
        return self.home / "dbt"

    @property
    def run_results_path(self) -> Path:
        """What dbt says of the last build, once it has ended."""
        return self.dbt_target_path / "run" / "run_results.json"

    @property
    def published_path(self) -> Path:
        """What BI reads: the marts of the last good build."""
        return self.home / "published"

    @property
    def audit_anchor_path(self) -> Path:
        """Head of the evidence chain, kept outside the operations store so that a cut tail is noticed."""
        return self.home / "exports" / "audit_head.json"

    @cached_property
    def operations_url(self) -> str:
        url = self.configuration.operations.url
        return url.get_secret_value() if url else f"sqlite:///{self.home / 'operations.sqlite'}"

    @property
    def team_database(self) -> str | None:
        """The Postgres that a team shares, for operations and Dagster alike; None if all state is in this home."""
        return self.operations_url if self.operations_url.startswith("postgresql") else None

    def inbox_path(self, instance: Instance) -> Path:
        """The folder an instance's files are dropped into; of one that is reached over http, one of its own name."""
        return self.home / "inbox" / getattr(instance, "folder", instance.id)

    def now(self) -> datetime:
        """The one clock: ``as_of`` when it is set, else the current time; aware, UTC."""
        return self.as_of or datetime.now(UTC)


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read and check everything that is configured.

    Args:
        environment: stands in for ``os.environ`` in tests.

    Raises:
        SettingsError: with every problem found, each with its path, value and what is allowed.
    """
    env = dict(os.environ if environment is None else environment)
    config_path = Path(env.get("RETAIL_CONFIG") or _CHECKOUT / "data" / "retail.yaml").expanduser().resolve()
    configuration = read_configuration(config_path, env)
    return Settings(
        home=_home(env),
        config_path=config_path,
        configuration=configuration,
        as_of=_as_of(env.get("RETAIL_AS_OF")),
        actor=_actor(env.get("RETAIL_ACTOR"), configuration.operations.shared_accounts),
    )


def dagster_storage_url(environment: Mapping[str, str] | None = None) -> str | None:
    """The Postgres that Dagster keeps its runs, events and schedules in; None for files below DAGSTER_HOME."""
    return (os.environ if environment is None else environment).get("RETAIL_DAGSTER_STORAGE") or None


def with_configuration(settings: Settings, config_path: Path) -> Settings:
    """The same home and clock with another configuration file, whose secrets are those of the one in use.

    Raises:
        SettingsError: the file cannot be used.
    """
    environment = environment_for(settings.config_path, os.environ)
    return replace(settings, configuration=read_configuration(config_path, environment))


def _actor(named: str | None, shared_accounts: Iterable[str]) -> str:
    """Whom the kernel says we are; RETAIL_ACTOR, which anybody can set, counts for shared accounts only."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = f"uid-{os.getuid()}"
    if not named or named == user:
        return user
    if not _LOGIN.fullmatch(named):
        raise SettingsError("RETAIL_ACTOR", [f"{named!r} is no login name: use letters, digits and . _ @ -"])
    if user not in shared_accounts:
        problem = f"{named!r} is not {user!r}: it counts only where {user!r} is one of operations.shared_accounts"
        raise SettingsError("RETAIL_ACTOR", [problem])
    return named


def _home(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("RETAIL_HOME") or _CHECKOUT / ".retail").expanduser().resolve()


def sandbox_credentials() -> dict[str, str]:
    """What the simulated retailer's systems accept: the environment over ``data/retail.env``."""
    return environment_for(_CHECKOUT / "data" / "retail.yaml", os.environ)


def environment_for(config_path: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """The environment over the ``.env`` file beside the configuration (same name, suffix ``.env``)."""
    beside = config_path.with_suffix(".env")
    # Without interpolation: a "${" inside a secret is part of it, and os.environ is not ours to read here.
    found = dotenv_values(beside, interpolate=False) if beside.is_file() else {}
    return {**{name: value for name, value in found.items() if value}, **environment}


def read_configuration(path: Path, environment: Mapping[str, str]) -> Configuration:
    """Parse ``retail.yaml``, fill in ``${NAME}`` and check it.

    Raises:
        SettingsError: the file is missing, is no YAML, or breaks the schema.
    """
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), _UniqueKeyLoader)  # noqa: S506 - it is a SafeLoader
    except FileNotFoundError:
        raise SettingsError(str(path), ["the file does not exist: set RETAIL_CONFIG to your retail.yaml"]) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(str(path), [str(error)]) from error
    except yaml.YAMLError as error:
        raise SettingsError(str(path), [f"it is not valid YAML: {_yaml_problem(error)}"]) from None
    if not isinstance(document, dict):
        raise SettingsError(str(path), ["it must be a mapping with entities, stores, gateways, banks and erps"])
    problems = list(_literal_secrets(document))
    filled = _fill(document, environment_for(path, environment), "", problems)
    if problems:
        raise SettingsError(str(path), problems)
    try:
        return Configuration.model_validate(filled, context={"exports": _home(environment) / "exports"})
    except ValidationError as error:
        # A list whose only block is wrong is not too short besides.
        details = [_as_written(_untagged(one), document) for one in error.errors() if not _follows(one, document)]
        raise SettingsError(str(path), map(_in_words, details)) from None


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML that refuses a key given twice; the first one, a whole section of stores perhaps, would be lost silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is given twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _yaml_problem(error: yaml.YAMLError) -> str:
    """What and where; never the line itself, which may hold a secret."""
    mark = getattr(error, "problem_mark", None)
    where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return f"{getattr(error, 'problem', None) or 'it cannot be read'}{where}"


def json_schema() -> dict[str, Any]:
    """The JSON schema of ``retail.yaml``, as published in ``docs/retail.schema.json``."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "retail.yaml",
        **Configuration.model_json_schema(),
    }


def instance_of(section: str, block: Mapping[str, Any]) -> Any:
    """One block of a section (``stores``, ``gateways``, …) as the model that its variant declares.

    Raises:
        pydantic.ValidationError: the block breaks the schema.
    """
    blocks: Any = Configuration.model_fields[section].annotation
    (items,) = TypeAdapter(blocks).validate_python([block])
    return items


_SECRET_FIELDS: Final = frozenset(
    setting.name
    for system in SYSTEMS.values()
    for variant in system.variants.values()
    for setting in variant.settings
    if setting.type == "secret"
) | {"webhook_secrets"}
_SECTIONS: Final = ("stores", "gateways", "banks", "tax", "erps", "fulfilment")
#: Columns of a table of file rows that no file has.
_FILLED_BY_READERS: Final = ("file_name", "file_sha256", "row_number", "occurrence")


def _literal_secrets(document: Mapping[str, Any]) -> Iterable[str]:
    for section in _SECTIONS:
        items = document.get(section)
        for index, item in enumerate(items if isinstance(items, list) else []):
            for field in _SECRET_FIELDS & set(item if isinstance(item, dict) else ()):
                values = item[field] if isinstance(item[field], list) else [item[field]]
                if not all(_REFERENCE.fullmatch(str(value)) for value in values):
                    yield f"{section}[{index}].{field}: a secret may only be given as ${{NAME}}, never literally"
    operations = document.get("operations")
    url = operations.get("url") if isinstance(operations, dict) else None
    if url is not None and not _REFERENCE.search(str(url)):
        yield "operations.url: it holds a password, so it may only be given as ${NAME}"
    alerts = operations.get("alerts") if isinstance(operations, dict) else None
    channels = alerts.get("channels") if isinstance(alerts, dict) else None
    for index, channel in enumerate(channels if isinstance(channels, list) else []):
        for field in {"url", "password"} & set(channel if isinstance(channel, dict) else ()):
            if not _REFERENCE.fullmatch(str(channel[field])):
                yield f"operations.alerts.channels[{index}].{field}: may only be given as ${{NAME}}, never literally"


def _fill(value: Any, environment: Mapping[str, str], path: str, problems: list[str]) -> Any:
    if isinstance(value, dict):
        return {
            key: _fill(item, environment, f"{path}.{key}" if path else str(key), problems)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_fill(item, environment, f"{path}[{index}]", problems) for index, item in enumerate(value)]
    if not isinstance(value, str):
        return value
    for name in _REFERENCE.findall(value):
        if not environment.get(name):
            problems.append(f"{path}: the environment variable {name} is not set")
    return _REFERENCE.sub(lambda match: environment.get(match[1], ""), value)


def _untagged(detail: ErrorDetails) -> ErrorDetails:
    """The error at its place in the file: pydantic puts the variant's name behind the index of its block."""
    section, *rest = detail["loc"] or ("",)
    if rest[:2] == ["alerts", "channels"] and rest[3:4] in (["mail"], ["webhook"]):
        rest.pop(3)
    if section in _SECTIONS and len(rest) > 1 and any(rest[1] in system.variants for system in SYSTEMS.values()):
        rest.pop(1)
    return {**detail, "loc": (section, *rest)}


def _follows(detail: ErrorDetails, document: Any) -> bool:
    section, *rest = detail["loc"] or ("",)
    return detail["type"] == "too_short" and not rest and bool(document.get(section))


def _as_written(detail: ErrorDetails, document: Any) -> ErrorDetails:
    """The error with the value as the file has it: what ``${NAME}`` stands for may be a secret in the wrong place."""
    for part in detail["loc"]:
        try:
            document = document[part]
        except (KeyError, IndexError, TypeError):
            return detail
    return {**detail, "input": document} if _REFERENCE.search(str(document)) else detail


def _in_words(detail: ErrorDetails) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in detail["loc"]).lstrip(".")
    message = detail["msg"].removeprefix("Value error, ")
    shown = detail["input"]
    if detail["type"] == "in_words":
        return message
    if detail["type"] == "missing":
        return f"{path}: is missing"
    if detail["type"] == "extra_forbidden":
        return f"{path}: is not a known setting"
    if isinstance(shown, (dict, list)) or not path:
        return f"{path or 'retail.yaml'}: {message}"
    field = path.rsplit(".", 1)[-1].partition("[")[0]
    # An address that is refused may be so because somebody put the credentials into it.
    if field in _SECRET_FIELDS or path == "operations.url" or (field.endswith("_url") and set(str(shown)) & set("@?#")):
        return f"{path}: {message}"
    return f"{path}: {str(shown)[:_LONGEST_SHOWN_VALUE]!r} is not allowed: {message}"


def _as_of(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise SettingsError("RETAIL_AS_OF", [f"{text!r} is not a date and time such as 2026-11-05T12:00:00Z"]) from None
    if moment.tzinfo is None:
        raise SettingsError("RETAIL_AS_OF", [f"{text!r} has no time zone: write 2026-11-05T12:00:00Z for UTC"])
    return moment.astimezone(UTC)


def _by_key(items: Iterable[Any], field: str, key: str) -> Any:
    for item in items:
        if getattr(item, field) == key:
            return item
    raise KeyError(key)


def _duplicates(configuration: Configuration) -> Iterable[str]:
    instances = [item.id for item in configuration.instances]
    for name, ids in (("entities", [entity.code for entity in configuration.entities]), ("sources", instances)):
        for key, count in Counter(ids).items():
            if count > 1:
                yield f"{name}: {key!r} is used {count} times; ids must be unique over all sections"
    for path, values, reason in (
        ("entities", [(e.erp, e.company) for e in configuration.entities], "they would post into one set of books"),
        (
            "folders",
            [item.folder for item in configuration.instances if item.declared.access == "files"],
            "each would refuse the other's files",
        ),
        (
            "folders",
            [item.folder for item in configuration.instances if item.declared.access == "export"],
            "nobody could tell whose files are whose",
        ),
        ("banks", [bank.account for bank in configuration.banks], "its lines would be counted twice"),
        ("former_site_urls", _site_names(configuration), "nobody could tell whose payments are whose"),
    ):
        for value, count in Counter(values).items():
            if count > 1:
                shown = " of ".join(reversed(value)) if isinstance(value, tuple) else value
                yield f"{path}: {shown!r} is used {count} times; {reason}"
    accounts: dict[tuple[str, str], str] = {}
    for gateway in configuration.gateways:
        account = getattr(gateway, "account_id", None)
        if account is None:
            continue
        first = accounts.setdefault((gateway.source, account), gateway.id)
        if first != gateway.id:
            yield f"gateways: {first} and {gateway.id} are the same account, {account!r}; its money would count twice"


def _rival_fees(configuration: Configuration) -> Iterable[str]:
    """Rules of one contract between which nobody could choose."""
    for index, gateway in enumerate(configuration.gateways):
        for position, rule in enumerate(gateway.fees):
            path = f"gateways[{index}].fees[{position}]"
            for other in gateway.fees[:position]:
                if rule.id == other.id:
                    yield f"{path}.id: {rule.id!r} is used twice"
                elif _are_rivals(rule, other):
                    yield (
                        f"{path}: {rule.id!r} and {other.id!r} fit the same sales with equally many conditions; add a "
                        "condition to one of them"
                    )


def _are_rivals(rule: FeeRule, other: FeeRule) -> bool:
    if rule.specificity != other.specificity:
        return False
    apart = any(
        mine is not None and theirs is not None and mine != theirs
        for mine, theirs in zip(rule.conditions, other.conditions, strict=True)
    )
    first = max(rule.valid_from or date.min, other.valid_from or date.min)
    last = min(rule.valid_to or date.max, other.valid_to or date.max)
    return not apart and first <= last


def _unfit_mappings(configuration: Configuration) -> Iterable[str]:
    """What is wrong with the columns that the mappings of CSV files name, before any file is read."""
    for section in _SECTIONS:
        for index, item in enumerate(getattr(configuration, section)):
            for setting in item.declared.settings:
                mapping = item.option(setting.name) if setting.maps else None
                if mapping is None:
                    continue
                allowed = setting.maps
                if isinstance(allowed, str):
                    columns = table(item.source, allowed).columns
                    allowed = tuple(column.name for column in columns if column.name not in _FILLED_BY_READERS)
                needs = [need for need in setting.needs if not _is_met(need, item)]
                required = ["|".join(name for name in need.split("|") if "@" not in name) for need in needs]
                try:
                    mapping.check(f"{section}[{index}].{setting.name}", allowed=allowed, required=required)
                except MappingError as error:
                    yield str(error)


def _is_met(need: str, item: Instance) -> bool:
    """Whether a setting has the group that a mapping's column may be replaced by."""
    named = (name.partition("@") for name in need.split("|"))
    return any(other and f"(?P<{group}>" in (item.option(other) or "") for group, _, other in named)


def _site_names(configuration: Configuration) -> list[str]:
    """Every former address of a store and, once, every present one, as the models compare them."""
    former = [url for store in configuration.stores for url in store.former_site_urls]
    present = [store.site_url or store.base_url for store in configuration.stores]
    names = ([re.sub("^https?://(www[.])?", "", url.lower()) for url in urls] for urls in (former, present))
    return [*next(names), *set(next(names))]


def _dangling(configuration: Configuration) -> Iterable[str]:
    entities = {entity.code: entity for entity in configuration.entities}
    stores = {store.id: store for store in configuration.stores}
    banks = {bank.id: bank for bank in configuration.banks}
    erps = {erp.id for erp in configuration.erps}

    def unknown(path: str, value: str, known: Iterable[str]) -> str:
        return f"{path}: {value!r} does not exist; known are {', '.join(sorted(known)) or 'none'}"

    for index, entity in enumerate(configuration.entities):
        if entity.erp not in erps:
            yield unknown(f"entities[{index}].erp", entity.erp, erps)
    for section, items in (
        ("stores", configuration.stores),
        ("gateways", configuration.gateways),
        ("banks", configuration.banks),
        ("tax", configuration.tax),
    ):
        for index, item in enumerate(items):
            if item.entity not in entities:
                yield unknown(f"{section}[{index}].entity", item.entity, entities)
    for index, gateway in enumerate(configuration.gateways):
        if gateway.bank not in banks:
            yield unknown(f"gateways[{index}].bank", gateway.bank, banks)
        elif banks[gateway.bank].entity != gateway.entity:
            owner = banks[gateway.bank].entity
            yield f"gateways[{index}].bank: {gateway.bank!r} belongs to entity {owner}, not {gateway.entity}"
        for position, served in enumerate(gateway.stores):
            if served.store not in stores:
                yield unknown(f"gateways[{index}].stores[{position}].store", served.store, stores)
            elif stores[served.store].entity != gateway.entity:
                yield (
                    f"gateways[{index}].stores[{position}].store: {served.store!r} sells for entity "
                    f"{stores[served.store].entity}, not {gateway.entity}; an entry belongs to exactly one entity"
                )
    for index, engine in enumerate(configuration.tax):
        for position, store in enumerate(engine.stores):
            path = f"tax[{index}].stores[{position}]"
            if store not in stores:
                yield unknown(path, store, stores)
            elif stores[store].entity != engine.entity:
                yield f"{path}: {store!r} sells for entity {stores[store].entity}, not {engine.entity}"
    for index, provider in enumerate(configuration.fulfilment):
        for position, store in enumerate(provider.stores):
            if store not in stores:
                yield unknown(f"fulfilment[{index}].stores[{position}]", store, stores)
    for position, store in enumerate(configuration.canary.stores if configuration.canary else ()):
        if store not in stores:
            yield unknown(f"canary.stores[{position}]", store, stores)
    for code in configuration.policies.entities:
        if code not in entities:
            yield unknown(f"policies.entities.{code}", code, entities)
