"""From configuration to poster."""

from collections.abc import Callable, Mapping
from typing import Final

from retail_assets.erp.erpnext import ErpNextPoster, TokenAuth
from retail_assets.erp.odoo import OdooPoster
from retail_assets.erp.odoo_client import OdooClient
from retail_assets.erp.protocol import ErpError, Poster
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


_POSTERS: Final[Mapping[str, Callable[[Erp], Poster]]] = {"erpnext": erpnext_poster, "odoo": odoo_poster}


class ReadOnlyErpError(ErpError):
    """An ERP whose books are read, but to which nothing can be posted yet."""


def takes_postings(erp: Erp) -> bool:
    """Whether there is a poster for this kind of ERP."""
    return erp.system in _POSTERS


def poster_for(erp: Erp) -> Poster:
    """The poster of a configured ERP; close it when done.

    Raises:
        ReadOnlyErpError: there is no poster for this kind of ERP.
    """
    if not takes_postings(erp):
        known = ", ".join(sorted(_POSTERS))
        raise ReadOnlyErpError(
            f"{erp.id}: nothing can be posted to {erp.system} yet, only to {known}; its books are read"
        )
    return _POSTERS[erp.system](erp)
