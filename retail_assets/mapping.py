"""How a CSV file of a system nobody has written code for maps to our columns; a block of ``retail.yaml``."""

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

_DESCRIPTION: Final = "Our column → the header of the file that holds it."


class CsvMapping(BaseModel):
    """Columns, signs, units and types of one kind of CSV file."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)

    columns: dict[str, str] = Field(min_length=1, description=_DESCRIPTION)
