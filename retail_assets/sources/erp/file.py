"""An ERP that imports files: there is nothing to read, what was written for it is known without it."""

from collections.abc import Sequence
from pathlib import Path

import dlt
from dlt.sources import DltResource

from retail_assets.settings import Erp
from retail_assets.sources.intake import Intake


@dlt.source(name="erp", max_table_nesting=0)
def file_source(erp: Erp, intake: Intake) -> Sequence[DltResource]:
    """A source without resources."""
    return ()


def examine(erp: Erp) -> str:
    """What a doctor finds: a sentence when all is well, an exception otherwise."""
    if not Path(erp.folder).is_dir():
        raise FileNotFoundError(f"the folder {erp.folder} does not exist")
    return f"takes files in {erp.folder}; nothing is read of it"
