"""From configuration to poster."""

from retail_assets.erp.erpnext import ErpNextPoster, TokenAuth
from retail_assets.erp.protocol import Poster
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


def poster_for(erp: Erp) -> Poster:
    """The poster of a configured ERP; close it when done."""
    return {"erpnext": erpnext_poster}[erp.system](erp)
