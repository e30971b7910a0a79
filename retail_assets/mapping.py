"""How a CSV file of a system nobody has written code for maps to our columns; a block of ``retail.yaml``.

Only the description is here, so that settings can check it; ``sources/mapped.py`` reads files by it.
"""

import codecs
import re
from collections.abc import Collection, Iterator
from typing import Annotated, Any, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator


class MappingError(Exception):
    """A mapping cannot serve its purpose; names the setting, what is missing and what is allowed."""


def _known_encoding(value: str) -> str:
    try:
        codecs.lookup(value)
    except LookupError:
        raise ValueError("must be the name of an encoding, for example utf-8, cp1252 or utf-16") from None
    return value


def _regular_expression(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"must be a regular expression: {error}") from None
    return value


def _time_format(value: str) -> str:
    if value != "iso" and "%" not in value:
        raise ValueError("must be iso or made of strftime's codes, for example %d.%m.%Y or %m/%d/%Y %H:%M:%S")
    return value


def _time_zone(value: str) -> str:
    if value not in available_timezones():
        raise ValueError("must be an IANA time zone, for example Europe/Berlin")
    return value


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Grouping = Literal[",", ".", "'", "’", " ", "\u00a0", "\u202f"]
Pattern = Annotated[str, AfterValidator(_regular_expression)]
TimeFormat = Annotated[str, AfterValidator(_time_format)]
Headers = Annotated[
    tuple[str, ...], BeforeValidator(_listed, json_schema_input_type=str | list[str]), Field(min_length=1)
]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class ColumnSource(_Model):
    """Where one of our columns comes from: a column of the file, two of them, or the same value in each row."""

    header: Headers | None = Field(None, description="Header in the file; of several the texts are joined by a blank.")
    constant: str | None = Field(None, description="The same value in each row.")
    pattern: Pattern | None = Field(
        None, description="Regular expression; its first group (or the whole match) is the value, no match is none."
    )
    credit: str | None = Field(None, description="Header of the amounts that come in; beside `debit`.")
    debit: str | None = Field(None, description="Header of the amounts that go out; beside `credit`.")
    indicator: str | None = Field(None, description="Header of the column that says which way an amount goes.")
    negative: Headers | None = Field(None, description="Values of `indicator` that make an amount negative.")
    negate: bool = Field(False, description="The file's sign is the other way round than ours.")
    format: TimeFormat | None = Field(None, description="Of a date or time, if it is not that of the whole file.")

    @model_validator(mode="after")
    def _is_one_thing(self) -> "ColumnSource":
        if sum(part is not None for part in (self.header, self.constant, self.credit or self.debit)) != 1:
            raise ValueError("must name one of: header; constant; credit and debit")
        if (self.credit is None) != (self.debit is None):
            raise ValueError("must name both credit and debit: two columns of amounts without a sign")
        if (self.indicator is None) != (self.negative is None):
            raise ValueError("must name both indicator and negative, for example indicator: D/C and negative: [D]")
        if self.indicator is not None and self.header is None:
            raise ValueError("must name the header of the amount that the indicator gives a sign")
        return self

    @property
    def headers(self) -> tuple[str, ...]:
        """Every column of the file that it reads."""
        single = (self.credit, self.debit, self.indicator)
        return (*(self.header or ()), *(name for name in single if name is not None))


def _plain_header(value: Any) -> Any:
    return {"header": value} if isinstance(value, (str, list)) else value


Source = Annotated[ColumnSource, BeforeValidator(_plain_header, json_schema_input_type=str | list[str] | ColumnSource)]


class RowFilter(_Model):
    """Rows of a file that are no records: totals, headings, another account's rows."""

    header: str = Field(min_length=1, description="Header of the column that tells them.")
    values: Headers | None = Field(None, description="Exact values, in whatever case.")
    pattern: Pattern | None = Field(None, description="Regular expression that fits anywhere in the value.")

    @model_validator(mode="after")
    def _is_one_thing(self) -> "RowFilter":
        if (self.values is None) == (self.pattern is None):
            raise ValueError("must name either values or pattern")
        return self


class CsvMapping(_Model):
    """Dialect, columns, signs, units and types of one kind of CSV file."""

    encoding: Annotated[str, AfterValidator(_known_encoding)] | None = Field(
        None, description="By its byte order mark, else utf-8, if it is left out."
    )
    delimiter: Literal[",", ";", "\t", "|"] | None = Field(None, description="Found by itself if it is left out.")
    header_row: int = Field(
        1, ge=1, le=1000, description="Row that holds the headers; if it does not, the first one that does is taken."
    )
    decimal_mark: Literal[".", ","] = Field(".", description="What stands before the decimals.")
    grouping: Grouping | None = Field(None, description="What stands between thousands; none if it is left out.")
    unit: Literal["major", "minor"] = Field(
        "major", description="minor: whole numbers of cents (by ISO 4217), for which `currency` must be mapped."
    )
    date_format: TimeFormat = Field("iso", description="iso or strftime's codes, for example %d.%m.%Y.")
    time_format: TimeFormat = Field("iso", description="Of columns with a time of day: %d.%m.%Y %H:%M:%S.")
    time_zone: Annotated[str, AfterValidator(_time_zone)] = Field(
        "UTC", description="Zone of times that do not name one."
    )
    columns: dict[str, Source] = Field(min_length=1, description="Our column → where it comes from.")
    types: dict[str, str] = Field(
        default_factory=dict, description="The file's word for a type → ours. A word that is not here is kept as it is."
    )
    ignore: tuple[RowFilter, ...] = Field((), description="Rows that are no records: totals and the like.")

    @field_validator("types")
    @classmethod
    def _in_lower_case(cls, types: dict[str, str]) -> dict[str, str]:
        return {word.strip().lower(): meaning for word, meaning in types.items()}

    @model_validator(mode="after")
    def _hangs_together(self) -> "CsvMapping":
        if self.grouping == self.decimal_mark:
            raise ValueError(f"grouping and decimal_mark cannot both be {self.grouping!r}")
        if self.unit == "minor" and "currency" not in self.columns:
            raise ValueError("unit: minor needs the column currency, or currency: {constant: EUR}, to count decimals")
        return self

    @property
    def headers(self) -> tuple[str, ...]:
        """Every column that a file must have, each once."""
        named = [header for source in self.columns.values() for header in source.headers]
        return tuple(dict.fromkeys([*named, *(rule.header for rule in self.ignore)]))

    def check(self, where: str, *, allowed: Collection[str], required: Collection[str]) -> None:
        """See that the mapping gives what its reader needs.

        Args:
            where: the path of the mapping in ``retail.yaml``, for the reader of an error.
            allowed: our columns that the reader knows.
            required: those without which it cannot work; ``a|b`` for one of two.

        Raises:
            MappingError: names each column that is unknown or missing, and what is allowed.
        """
        if problems := list(self._problems(allowed, required)):
            raise MappingError(f"{where}: " + "; ".join(problems))

    def _problems(self, allowed: Collection[str], required: Collection[str]) -> Iterator[str]:
        for name in self.columns:
            if name not in allowed:
                yield f"columns.{name} is none of ours; allowed are {', '.join(sorted(allowed))}"
        for names in required:
            if not self.columns.keys() & set(names.split("|")):
                yield f"columns.{names.replace('|', ' or columns.')} is missing"
