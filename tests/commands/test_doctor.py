"""``retail doctor``: what it finds, and that it goes on after finding it."""

from collections.abc import Iterator

import pytest

from retail_assets.commands.doctor import Finding, examine
from retail_assets.commands.home import prepare_home
from retail_assets.sandbox.faults import Fault
from tests.support.chain import Retailer, retailer


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Retailer]:
    with retailer(tmp_path_factory.mktemp("home"), orders=60) as found:
        prepare_home(found.settings())
        yield found


def _by_subject(shop: Retailer) -> dict[str, Finding]:
    return {finding.subject: finding for finding in examine(shop.settings())}


def test_a_sound_installation_is_well(shop: Retailer) -> None:
    """A doctor who finds fault with health is not asked again."""
    assert [finding for finding in _by_subject(shop).values() if not finding.ok] == []


def test_a_store_that_is_down_does_not_hide_the_others(shop: Retailer) -> None:
    """The first failure must not be the last thing that is looked at."""
    settings = shop.settings()
    quick = settings.configuration.model_copy(
        update={"stores": tuple(store.model_copy(update={"retries": 0}) for store in settings.configuration.stores)}
    )
    shop.server.faults.set("cedar_us", Fault(down=True))
    try:
        findings = {
            finding.subject: finding
            for finding in examine(type(settings)(settings.home, settings.config_path, quick, settings.as_of))
        }
    finally:
        shop.server.faults.clear()
    assert not findings["store cedar_us"].ok
    assert "503" in findings["store cedar_us"].found
    assert findings["store aoi_jp"].ok
    assert findings["ERP erp_main"].ok


def test_a_refused_key_is_told_from_an_unreachable_host(shop: Retailer) -> None:
    """'Check the key' and 'check the address' send people to different desks."""
    settings = shop.settings()
    gateway = settings.configuration.gateways[0].model_copy(
        update={"api_key": type(settings.configuration.gateways[0].api_key)("sk_wrong")}
    )
    wrong = settings.configuration.model_copy(update={"gateways": (gateway,)})
    finding = {
        finding.subject: finding
        for finding in examine(type(settings)(settings.home, settings.config_path, wrong, settings.as_of))
    }["gateway stripe_us"]
    assert not finding.ok
    assert "key was refused" in finding.advice
    assert "sk_wrong" not in finding.found


def test_the_inbox_is_named(shop: Retailer) -> None:
    """Statements dropped into a folder that nobody reads are lost in silence."""
    folder = shop.settings().inbox_path(shop.settings().configuration.banks[0])
    assert folder.is_dir()
    assert "files in" in _by_subject(shop)["bank bank_us"].found
