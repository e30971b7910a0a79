"""The declared contracts of the raw tables: one place from which schemas, settings, checks and docs are made.

Each source system declares itself in ``sources/<system>/source.yaml``, as data, so that this floor needs to know no
source: what it is, what ``retail.yaml`` may say about it, and its raw tables. A raw table keeps the names and values of
its source. Columns that start with ``_`` are ours. A child table holds the elements of one list of its parent's records
(order lines, tax lines) and is replaced together with its parent.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal

import yaml

ColumnType = Literal["text", "integer", "amount", "rate", "boolean", "timestamp", "date", "json"]
"""``amount`` is decimal(18,4), ``rate`` decimal(28,12), ``timestamp`` UTC, ``json`` the bytes as sent, as text."""

SettingType = Literal["text", "secret", "url", "integer", "boolean", "choice", "csv_mapping"]

#: Section of ``retail.yaml`` → the column that tells its instances apart in the raw tables.
INSTANCE_COLUMNS: Final = MappingProxyType(
    {
        "stores": "store_id",
        "gateways": "gateway_id",
        "banks": "bank_id",
        "tax": "tax_engine_id",
        "erps": "erp_id",
        "fulfilment": "provider_id",
        "platform": "",
    }
)

_SOURCES: Final = Path(__file__).resolve().parent / "sources"


class DeclarationError(Exception):
    """A ``source.yaml`` cannot be used; names the file and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: where it comes from in the record, what it means and what it may hold.

    ``path`` is the dotted path inside the record and defaults to the name. ``minimum``, ``pattern`` (a regular
    expression for the whole text) and ``required`` are rules: a record that breaks one goes to quarantine with the
    field and the value named. ``orders_versions``: when one load brings a record twice, the highest value holds.
    """

    name: str
    type: ColumnType
    description: str
    required: bool = False
    path: str | None = None
    minimum: Decimal | None = None
    pattern: str | None = None
    personal: bool = False
    orders_versions: bool = False

    @property
    def source_path(self) -> str:
        return self.path or self.name


@dataclass(frozen=True, slots=True)
class Table:
    """The contract of one raw table.

    ``primary_key`` includes the instance column, so that the stores (gateways, …) of one system share a table.
    ``parent`` and ``list_path`` make it a child table; ``optional`` says that records may lack the list altogether,
    which then says nothing about the children. ``parent_key`` names the columns that hold the parent's key: rows that
    are loaded replace all former rows of the same parent.
    ``loaded_with`` names the resource that fills it, where that is not one of its own name.
    """

    system: str
    section: str
    name: str
    description: str
    owner: str
    primary_key: tuple[str, ...]
    columns: tuple[Column, ...]
    version: int = 1
    parent: str | None = None
    list_path: str | None = None
    optional: bool = False
    parent_key: tuple[str, ...] = ()
    keeps_payload: bool = True
    loaded_with: str | None = None

    @property
    def resource(self) -> str:
        """The resource (and so the asset) that loads this table."""
        return self.parent or self.loaded_with or self.name

    @property
    def schema(self) -> str:
        return f"raw_{self.system}"

    @property
    def instance_column(self) -> str:
        """The column that tells the instances (stores, gateways, banks, ERPs) of one system apart; empty for ours."""
        return INSTANCE_COLUMNS[self.section]

    def all_columns(self) -> tuple[Column, ...]:
        """The declared columns plus ours, in the order of the raw table."""
        if not self.instance_column:
            return self.columns
        instance = (
            Column(self.instance_column, "text", "Which configured instance the record came from.", required=True),
        )
        if self.parent is not None:
            return (*instance, *self.columns, _DELETED, *_LOADED)
        payload = _PAYLOAD if self.keeps_payload else ()
        return (*instance, *self.columns, *payload, *_LOADED)


@dataclass(frozen=True, slots=True)
class Setting:
    """One thing that ``retail.yaml`` says about an instance, besides what all instances of its section have.

    Of a ``csv_mapping``: ``maps`` are the columns of ours that it may name, or the table whose columns they are;
    ``needs`` those that it must: ``a|b`` for one of two, and ``date@other`` for a group of that name in the regular
    expression that the setting ``other`` is.
    """

    name: str
    type: SettingType
    description: str
    required: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()
    pattern: str | None = None
    maps: str | tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Variant:
    """One kind of instance: what the ``system`` (of a bank: the ``format``) of a block in ``retail.yaml`` may say.

    ``access``: ``http`` for an API (it has a base_url, a time-out and retries), ``files`` for a folder of file drops,
    ``export`` for a folder that is only written to.
    ``requests_per_second`` is the documented quota, used unless the block says otherwise; ``quota`` says where it is
    documented. ``webhooks`` is how it signs the webhooks it sends, if it sends any that are understood.
    """

    name: str
    title: str
    access: Literal["http", "files", "export"]
    requests_per_second: float | None = None
    quota: str = ""
    webhooks: str | None = None
    settings: tuple[Setting, ...] = ()


@dataclass(frozen=True, slots=True)
class System:
    """One source system: a folder under ``sources/``, a schema ``raw_<name>``, its variants and its raw tables."""

    name: str
    section: str
    description: str
    owner: str
    variants: Mapping[str, Variant] = field(default_factory=dict)
    tables: tuple[Table, ...] = ()


_DELETED = Column("_deleted", "boolean", "Marks that a parent has no such children any more; never stored as true.")
_PAYLOAD = (
    Column("_payload", "json", "The record as the source sent it, byte for byte.", required=True),
    Column("_payload_sha256", "text", "SHA-256 of the payload: the end of every trace.", required=True),
)
_LOADED = (Column("_loaded_at", "timestamp", "When this version of the record was loaded.", required=True),)


def read_system(path: Path) -> System:
    """The declaration of one system; its name is that of the folder the file is in.

    Raises:
        DeclarationError: the file is no YAML, or says something that no declaration has.
    """
    name = path.parent.name
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
        section, owner = document["section"], document["owner"]
        if section not in INSTANCE_COLUMNS:
            raise ValueError(f"section {section!r} is none of {', '.join(INSTANCE_COLUMNS)}")
        variants = {key: _variant(key, body) for key, body in document.get("variants", {}).items()}
        tables = tuple(_table(name, section, owner, body) for body in document.get("tables", ()))
        return System(name, section, document["description"], owner, variants, tables)
    except KeyError as error:
        raise DeclarationError(f"{path}: {error} is missing") from error
    except (yaml.YAMLError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise DeclarationError(f"{path}: {error}") from error


def _variant(name: str, body: Mapping[str, Any]) -> Variant:
    settings = tuple(map(_setting, body.get("settings", ())))
    return Variant(**{**body, "name": name, "settings": settings})


def _setting(body: Mapping[str, Any]) -> Setting:
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in body.items()}
    return Setting(**values)


def _table(system: str, section: str, owner: str, body: Mapping[str, Any]) -> Table:
    rest = {key: value for key, value in body.items() if key not in ("key", "columns", "parent_key")}
    return Table(
        **{"owner": owner, **rest},
        system=system,
        section=section,
        primary_key=tuple(body["key"]),
        parent_key=tuple(body.get("parent_key", ())),
        columns=tuple(_column(column) for column in body["columns"]),
    )


def _column(body: Mapping[str, Any]) -> Column:
    minimum = body.get("minimum")
    return Column(**{**body, "minimum": None if minimum is None else Decimal(str(minimum))})


def _read_systems() -> Iterator[System]:
    for path in sorted(_SOURCES.glob("*/source.yaml")):
        yield read_system(path)


SYSTEMS: Final[Mapping[str, System]] = MappingProxyType({system.name: system for system in _read_systems()})
TABLES: Final[tuple[Table, ...]] = tuple(table for system in SYSTEMS.values() for table in system.tables)


def tables_of(system: str) -> tuple[Table, ...]:
    """All raw tables of one system, parents before children."""
    return SYSTEMS[system].tables if system in SYSTEMS else ()


def table(system: str, name: str) -> Table:
    """The contract of ``raw_<system>.<name>``; KeyError if there is none."""
    for candidate in tables_of(system):
        if candidate.name == name:
            return candidate
    raise KeyError(f"no contract for raw_{system}.{name}")


def children_of(parent: Table) -> tuple[Table, ...]:
    """The child tables that are made from lists of ``parent``'s records."""
    return tuple(child for child in tables_of(parent.system) if child.parent == parent.name)
