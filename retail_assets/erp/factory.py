"""From configuration to poster."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from retail_assets.erp.erpnext import ErpNextPoster, TokenAuth
from retail_assets.erp.file import FilePoster
from retail_assets.erp.odoo import OdooPoster
from retail_assets.erp.odoo_client import OdooClient
from retail_assets.erp.protocol import ErpError, Poster
from retail_assets.erp.tryton import TrytonPoster
from retail_assets.erp.tryton_client import TrytonClient
from retail_assets.http import HttpClient
from retail_assets.settings import Erp


def erpnext_poster(erp: Erp) -> ErpNextPoster:
    """A poster for an ERPNext site; close it when done."""
    client = HttpClient(
        erp.base_url,
        auth=TokenAuth(erp.api_key.get_secret_value(), erp.api_secret.get_secret_value()),
        requests_per_second=erp.requests_per_second,
        timeout=erp.timeout_seconds,
        retries=erp.retries,
    )
    return ErpNextPoster(client, base_url=erp.base_url, key_field=erp.key_field)


def odoo_poster(erp: Erp) -> OdooPoster:
    """A poster for an Odoo database; close it when done."""
    journal, key_module = erp.option("journal"), erp.option("key_module")
    return OdooPoster(OdooClient(erp), base_url=erp.base_url, journal=journal, key_module=key_module)


def file_poster(erp: Erp) -> FilePoster:
    """A poster that writes files for an ERP to import."""
    return FilePoster(
        Path(erp.folder), file_format=erp.option("format"), entries_per_file=erp.option("entries_per_file")
    )


def tryton_poster(erp: Erp) -> TrytonPoster:
    """A poster for a Tryton database; close it when done."""
    web_address = f"{erp.base_url.rstrip('/')}/#{erp.option('database')}"
    # A session posts, and reads in the same words; the key of a user application would read in others.
    client = TrytonClient(erp.model_copy(update={"api_key": None}))
    return TrytonPoster(
        client, web_address=web_address, key_field=erp.option("key_field"), journal=erp.option("journal")
    )


_POSTERS: Final[Mapping[str, Callable[[Erp], Poster]]] = {
    "erpnext": erpnext_poster,
    "file": file_poster,
    "odoo": odoo_poster,
    "tryton": tryton_poster,
}


class ReadOnlyErpError(ErpError):
    """An ERP whose books are read, but to which nothing can be posted yet."""


def takes_postings(erp: Erp) -> bool:
    """Whether there is a poster for this kind of ERP, and what it needs to sign in is configured."""
    return erp.system in _POSTERS and (erp.system != "tryton" or bool(erp.option("login")))


def poster_for(erp: Erp) -> Poster:
    """The poster of a configured ERP; close it when done.

    Raises:
        ReadOnlyErpError: there is no poster for this kind of ERP.
    """
    if not takes_postings(erp):
        known = ", ".join(sorted(_POSTERS))
        why = "without login and password" if erp.system in _POSTERS else f"yet, only to {known}"
        raise ReadOnlyErpError(f"{erp.id}: nothing can be posted to {erp.system} {why}; its books are read")
    return _POSTERS[erp.system](erp)
