"""The description of an unknown CSV file: what it may say, and what an error says."""

from typing import Any

import pytest
from pydantic import ValidationError

from retail_assets.mapping import CsvMapping, MappingError


def mapping(**parts: Any) -> CsvMapping:
    return CsvMapping.model_validate({"columns": {"amount": "Amount"}, **parts})


def test_a_header_is_the_short_form() -> None:
    """The commonest case took three lines of YAML for each column."""
    short = mapping(columns={"amount": "Betrag", "description": ["Text 1", "Text 2"]})
    assert short.columns["amount"].header == ("Betrag",)
    assert short.headers == ("Betrag", "Text 1", "Text 2")


def test_every_column_that_is_read_must_be_there() -> None:
    """A file without the indicator column was loaded with all amounts positive."""
    found = mapping(
        columns={
            "amount": {"header": "Amount", "indicator": "D/C", "negative": ["D", "DR"]},
            "fee": {"credit": "Fee in", "debit": "Fee out"},
            "currency": {"constant": "EUR"},
        },
        ignore=[{"header": "Type", "values": ["Total"]}],
    )
    assert found.headers == ("Amount", "D/C", "Fee in", "Fee out", "Type")


@pytest.mark.parametrize(
    ("parts", "place", "words"),
    [
        ({"delimiter": "#"}, ("delimiter",), "','"),
        ({"encoding": "ansi"}, ("encoding",), "for example utf-8"),
        ({"header_row": 0}, ("header_row",), "greater than or equal to 1"),
        ({"grouping": "."}, (), "cannot both be '.'"),
        ({"grouping": "_"}, ("grouping",), "','"),
        ({"time_zone": "Berlin"}, ("time_zone",), "IANA"),
        ({"date_format": "DD.MM.YYYY"}, ("date_format",), "strftime"),
        ({"unit": "minor"}, (), "needs the column currency"),
        ({"columns": {}}, ("columns",), "at least 1"),
        ({"columns": {"amount": {}}}, ("columns", "amount"), "header; constant; credit and debit"),
        ({"columns": {"amount": {"debit": "Out"}}}, ("columns", "amount"), "both credit and debit"),
        ({"columns": {"amount": {"header": "A", "indicator": "S"}}}, ("columns", "amount"), "both indicator"),
        ({"columns": {"amount": {"header": "A", "pattern": "("}}}, ("columns", "amount", "pattern"), "regular"),
        ({"columns": {"amount": {"headers": "A"}}}, ("columns", "amount", "headers"), "not permitted"),
        ({"ignore": [{"header": "A"}]}, ("ignore", 0), "either values or pattern"),
        ({"colums": {}}, ("colums",), "not permitted"),
    ],
)
def test_an_error_names_the_place_and_what_is_allowed(parts: Any, place: tuple[Any, ...], words: str) -> None:
    """A slip in the mapping was found in the books, or as a KeyError in the middle of a load."""
    with pytest.raises(ValidationError) as error:
        mapping(**parts)
    assert any(detail["loc"] == place and words in detail["msg"] for detail in error.value.errors())


def test_a_mapping_must_serve_its_reader() -> None:
    """A mapping without a currency loaded lines that belong to no account."""
    with pytest.raises(MappingError) as error:
        mapping(columns={"amount": "A", "colour": "B"}).check(
            "gateways.acquirer.mapping", allowed=("amount", "currency", "id"), required=("amount", "currency|id")
        )
    assert "gateways.acquirer.mapping: columns.colour is none of ours; allowed are amount, currency, id" in str(
        error.value
    )
    assert "columns.currency or columns.id is missing" in str(error.value)


def test_white_space_is_a_delimiter_and_a_grouping() -> None:
    """Settings are stripped of white space: a tab became nothing."""
    found = mapping(delimiter="\t", grouping=" ", decimal_mark=",")
    assert (found.delimiter, found.grouping) == ("\t", " ")


def test_types_are_compared_without_case() -> None:
    """SALE, Sale and sale were three types, two of them unknown."""
    assert mapping(types={"Sale ": "charge"}).types == {"sale": "charge"}
