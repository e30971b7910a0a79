"""The only reader of the environment and of retail.yaml: what it accepts, and how it says no."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from retail_assets.contracts import SYSTEMS
from retail_assets.settings import (
    Configuration,
    SettingsError,
    json_schema,
    load_settings,
    read_configuration,
)
from retail_assets.sources.bank import mapped as bank_lines
from retail_assets.sources.fulfilment import source as provider_files
from retail_assets.sources.settlement_file import lines as settlement_lines
from retail_assets.sources.tax import source as remittances

CHECKOUT = Path(__file__).resolve().parent.parent
SHIPPED = CHECKOUT / "data" / "retail.yaml"
CANARY = "canary-7f3a91"


@pytest.fixture
def document() -> dict[str, Any]:
    """The shipped configuration, to be spoilt."""
    return yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))


@pytest.fixture
def environment() -> dict[str, str]:
    """The shipped credentials."""
    lines = (CHECKOUT / "data" / "retail.env").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def write(folder: Path, content: Any, name: str = "retail.yaml") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return path


def problems(path: Path, environment: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as caught:
        read_configuration(path, environment)
    assert str(path) in str(caught.value)
    assert caught.value.problems
    return "\n".join(caught.value.problems)


def put(document: Any, path: str, value: Any) -> None:
    """Set ``stores.0.base_url`` and the like."""
    *parents, leaf = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in parents:
        document = document[part]
    document[leaf] = value


def test_the_shipped_configuration_loads() -> None:
    """The file that every newcomer starts from was broken."""
    settings = load_settings({})
    assert [entity.code for entity in settings.configuration.entities] == ["US", "DE", "JP"]
    assert settings.config_path == SHIPPED
    assert settings.home == CHECKOUT / ".retail"
    assert settings.warehouse_path.name == "warehouse.duckdb"
    assert settings.operations_url == f"sqlite:///{CHECKOUT / '.retail' / 'operations.sqlite'}"


def test_one_mistake_is_one_error(tmp_path: Path, document: dict[str, Any], environment: dict[str, str]) -> None:
    """The only entity lacks its company, and the file was also said to have no entity at all."""
    document["entities"] = document["entities"][:1]
    del document["entities"][0]["company"]
    found = problems(write(tmp_path, document), environment)
    assert "entities[0].company: is missing" in found
    assert "at least 1 item" not in found


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("stores.0.colour", "red", ["stores[0].colour", "not a known setting"]),
        ("warehous", {}, ["warehous", "not a known setting"]),
        (
            "policies.default.tolerence_minor_units",
            3,
            ["policies.default.tolerence_minor_units", "not a known setting"],
        ),
        ("entities.1.time_zone", "Europe/Berlln", ["entities[1].time_zone", "'Europe/Berlln'", "IANA time zone"]),
        ("entities.1.time_zone", "CET+1", ["entities[1].time_zone", "'CET+1'"]),
        ("entities.0.base_currency", "XAU", ["entities[0].base_currency", "'XAU'", "ISO 4217"]),
        ("entities.0.base_currency", "usd", ["entities[0].base_currency", "'usd'"]),
        ("entities.0.country", False, ["entities[0].country", "'False'"]),
        ("entities.0.code", "us", ["entities[0].code", "'us'"]),
        ("entities.0.erp", "erp_other", ["entities[0].erp", "'erp_other'", "erp_main"]),
        ("stores.1.entity", "FR", ["stores[1].entity", "'FR'", "DE, JP, US"]),
        ("stores.1.system", "shopify", ["stores[1].system", "'shopify'", "woocommerce"]),
        ("stores.1.id", "cedar_us", ["'cedar_us'", "used 2 times"]),
        ("gateways.0.id", "bank_us", ["'bank_us'", "used 2 times"]),
        (
            "stores.0.former_site_urls",
            ["http://Lindenhof.example/"],
            ["'lindenhof.example'", "whose payments"],
        ),
        ("stores.0.base_url", "ftp://shop.example", ["stores[0].base_url", "'ftp://shop.example'", "https://"]),
        ("stores.0.base_url", "https://shop.example:port", ["stores[0].base_url", "port"]),
        ("stores.0.poll", "7m", ["stores[0].poll", "'7m'", "divide the hour"]),
        ("stores.0.poll", "61 * * * *", ["stores[0].poll", "'61 * * * *'", "cron expression"]),
        ("stores.0.poll", "0 0 30 2 *", ["stores[0].poll", "'0 0 30 2 *'", "never happens"]),
        ("schedules", {"daily_build": "* * * * * *"}, ["schedules.daily_build", "cron expression"]),
        ("stores.0.timeout_seconds", 0, ["stores[0].timeout_seconds", "'0'", "greater than 0"]),
        ("gateways.0.bank", "bank_xx", ["gateways[0].bank", "'bank_xx'", "bank_de, bank_jp, bank_us"]),
        ("gateways.0.bank", "bank_de", ["gateways[0].bank", "'bank_de'", "belongs to entity DE, not US"]),
        ("gateways.0.stores.0.store", "nowhere", ["gateways[0].stores[0].store", "'nowhere'", "cedar_us"]),
        ("gateways.0.stores.0.store", "linden_de", ["gateways[0].stores[0].store", "entity DE, not US"]),
        ("gateways.0.stores", [], ["gateways[0].stores", "at least 1"]),
        ("gateways.0.base_url", "http://api.stripe.com", ["gateways[0].base_url", "must use https"]),
        ("erps.0.base_url", "http://erp.example", ["erps[0].base_url", "must use https"]),
        ("stores.0.base_url", "http://169.254.169.254/latest", ["stores[0].base_url", "what they know of themselves"]),
        ("erps.0.base_url", "https://[fe80::1]", ["erps[0].base_url", "what they know of themselves"]),
        ("erps.0.key_field", "x; drop", ["erps[0].key_field", "'x; drop'"]),
        ("banks.0.currency", "EURO", ["banks[0].currency", "'EURO'"]),
        ("banks.0.entity", "FR", ["banks[0].entity", "'FR'"]),
        ("banks.1.folder", "bank_us", ["folders", "'bank_us'", "refuse the other's files"]),
        ("banks.1.account", "US64SVBKUS6S3300958879", ["banks", "counted twice"]),
        ("entities.1.company", "Cedar & Pine LLC", ["entities", "Cedar & Pine LLC", "one set of books"]),
        (
            "policies.default.revenue_recognition",
            "order",
            ["policies.default.revenue_recognition", "'order'", "capture"],
        ),
        ("policies.default.tolerance_minor_units", -1, ["policies.default.tolerance_minor_units", "'-1'"]),
        ("policies.entities", {"FR": {}}, ["policies.entities.FR", "does not exist"]),
        (
            "policies.entities",
            {"DE": {"tolerance_minor_units": -5, "bogus": 1}},
            [
                "policies.entities.DE.tolerance_minor_units",
                "'-5'",
                "policies.entities.DE.bogus: is not a known setting",
            ],
        ),
        ("tax.0.stores", ["nowhere"], ["tax[0].stores[0]", "'nowhere'", "cedar_us"]),
        ("tax.0.stores", ["linden_de"], ["tax[0].stores[0]", "entity DE, not US"]),
        ("entities", [], ["entities", "at least 1"]),
    ],
)
def test_an_error_names_path_value_and_what_is_allowed(
    document: dict[str, Any], environment: dict[str, str], tmp_path: Path, path: str, value: Any, says: list[str]
) -> None:
    """A mistake in retail.yaml was taken as it is, or reported without saying where it stands."""
    put(document, path, value)
    said = problems(write(tmp_path, document), environment)
    assert not [part for part in says if part not in said], said
    assert "pydantic" not in said


def test_all_problems_are_named_at_once(document: dict[str, Any], environment: dict[str, str], tmp_path: Path) -> None:
    """One mistake at a time: ten runs to mend ten lines."""
    put(document, "entities.0.time_zone", "nowhere")
    put(document, "stores.0.colour", "red")
    put(document, "banks.2.currency", "YEN!")
    said = problems(write(tmp_path, document), environment)
    assert len(said.splitlines()) == 3


def test_a_missing_setting_is_named(document: dict[str, Any], environment: dict[str, str], tmp_path: Path) -> None:
    """A store without an entity passed, and its sales belonged to nobody."""
    del document["stores"][0]["entity"]
    assert "stores[0].entity: is missing" in problems(write(tmp_path, document), environment)


@pytest.mark.parametrize(
    "path",
    ["stores.0.consumer_key", "stores.0.consumer_secret", "gateways.2.api_key", "erps.0.api_key", "erps.0.api_secret"],
)
@pytest.mark.parametrize("value", [CANARY, f"${{ERP_MAIN_API_KEY}}{CANARY}", 12345, [CANARY], ""])
def test_a_literal_secret_is_refused(
    document: dict[str, Any], environment: dict[str, str], tmp_path: Path, path: str, value: Any
) -> None:
    """A key was written into retail.yaml, and from there into the repository; or the refusal printed it."""
    put(document, path, value)
    said = problems(write(tmp_path, document), environment)
    section, index, name = path.split(".")
    assert f"{section}[{index}].{name}: a secret may only be given as ${{NAME}}" in said
    assert CANARY not in said


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("stores.0.webhook_secrets", [CANARY], "only be given as ${NAME}"),
        ("stores.0.webhook_secrets", CANARY, "only be given as ${NAME}"),
        ("stores.0.webhook_secrets", ["${CEDAR_US_WEBHOOK_SECRET}", CANARY], "only be given as ${NAME}"),
        ("stores.0.webhook_secrets", ["${SHORT}"], "at least 16 characters"),
        ("stores.0.webhook_secrets", ["${CEDAR_US_WEBHOOK_SECRET}"] * 3, "at most 2"),
        ("gateways.5.webhook_secrets", ["${CEDAR_US_WEBHOOK_SECRET}"], "hexadecimal"),
        ("gateways.3.webhook_secrets", ["${CEDAR_US_WEBHOOK_SECRET}"], "not a known setting"),
    ],
    ids=["literal", "literal alone", "literal second", "short", "three", "adyen", "sends none"],
)
def test_a_key_for_webhooks_is_a_good_one(
    document: dict[str, Any], environment: dict[str, str], tmp_path: Path, path: str, value: Any, says: str
) -> None:
    """A key that anybody could guess let anybody send events; or the error about it printed it."""
    environment["SHORT"] = CANARY[:12]
    environment["CEDAR_US_WEBHOOK_SECRET"] = f"{CANARY}-webhooks"
    put(document, path, value)
    said = problems(write(tmp_path, document), environment)
    assert says in said
    assert "webhook_secrets" in said
    assert CANARY[:12] not in said


def test_the_operations_url_may_not_be_literal(
    document: dict[str, Any], environment: dict[str, str], tmp_path: Path
) -> None:
    """The password of the operations database stood in retail.yaml."""
    document["operations"] = {"url": f"postgresql+psycopg://retail:{CANARY}@db/retail"}
    said = problems(write(tmp_path, document), environment)
    assert "operations.url" in said
    assert CANARY not in said


def test_missing_variables_are_named(document: dict[str, Any], environment: dict[str, str], tmp_path: Path) -> None:
    """A secret that is not set went out as an empty password, and the store answered 401."""
    del environment["ERP_MAIN_API_SECRET"]
    environment["STRIPE_DE_API_KEY"] = ""
    said = problems(write(tmp_path, document), environment)
    assert "erps[0].api_secret: the environment variable ERP_MAIN_API_SECRET is not set" in said
    assert "gateways[1].api_key: the environment variable STRIPE_DE_API_KEY is not set" in said


def test_no_secret_is_ever_shown(document: dict[str, Any], environment: dict[str, str], tmp_path: Path) -> None:
    """A log of the configuration, or an error about it, held a key that opens a store."""
    secrets = {name: f"{CANARY}-{name}" for name in environment if name != "SANDBOX_URL"}
    document["operations"] = {"url": "${OPERATIONS_URL}"}
    secrets["OPERATIONS_URL"] = f"postgresql://u:{CANARY}@db/retail"
    environment |= secrets
    configuration = read_configuration(write(tmp_path, document), environment)
    shown = f"{configuration!r} {configuration} {configuration.model_dump()} {configuration.model_dump_json()}"
    assert CANARY not in shown
    assert configuration.erps[0].api_secret.get_secret_value() == secrets["ERP_MAIN_API_SECRET"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("stores.0.base_url", f"https://user:{CANARY}@shop.example"),
        ("stores.0.base_url", f"https://shop.example/?consumer_secret={CANARY}"),
        ("stores.0.site_url", f"https://shop.example/#{CANARY}"),
        ("stores.0.base_url", "${ERP_MAIN_API_SECRET}"),
        ("banks.0.currency", "${ERP_MAIN_API_SECRET}"),
        ("entities.0.time_zone", "${ERP_MAIN_API_SECRET}"),
    ],
)
def test_an_error_does_not_show_a_secret_in_the_wrong_place(
    document: dict[str, Any], environment: dict[str, str], tmp_path: Path, path: str, value: str
) -> None:
    """Credentials inside an address, or a key in the wrong line, were printed by the error about them."""
    environment["ERP_MAIN_API_SECRET"] = CANARY
    put(document, path, value)
    said = problems(write(tmp_path, document), environment)
    assert CANARY not in said
    assert path.split(".")[-1] in said


def test_broken_yaml_says_where_but_not_what(environment: dict[str, str], tmp_path: Path) -> None:
    """The error about a broken file printed the line at fault, which held a key."""
    path = write(tmp_path, f"entities: []\nstores:\n  - consumer_secret: {CANARY}: [\n")
    said = problems(path, environment)
    assert "not valid YAML" in said
    assert "line 3" in said
    assert CANARY not in said


def test_a_section_given_twice_is_refused(environment: dict[str, str], tmp_path: Path) -> None:
    """YAML takes the last of two sections of the same name: all stores of the first one stopped loading in silence."""
    path = write(tmp_path, SHIPPED.read_text(encoding="utf-8") + "\nstores: []\n")
    assert "'stores' is given twice" in problems(path, environment)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("- a\n", "must be a mapping"),
        ("", "must be a mapping"),
        ("\t- a", "not valid YAML"),
        ("5", "must be a mapping"),
    ],
)
def test_what_is_no_configuration_is_refused(
    environment: dict[str, str], tmp_path: Path, content: str, says: str
) -> None:
    """An empty or foreign file ended in a stack trace."""
    assert says in problems(write(tmp_path, content), environment)


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    """A wrong RETAIL_CONFIG silently loaded the demo's configuration."""
    with pytest.raises(SettingsError, match="does not exist: set RETAIL_CONFIG"):
        load_settings({"RETAIL_CONFIG": str(tmp_path / "none.yaml")})
    with pytest.raises(SettingsError, match="Is a directory"):
        load_settings({"RETAIL_CONFIG": str(tmp_path)})
    (tmp_path / "latin.yaml").write_bytes(b"name: \xe9")
    with pytest.raises(SettingsError, match="utf-8"):
        load_settings({"RETAIL_CONFIG": str(tmp_path / "latin.yaml")})


def test_the_environment_beats_the_env_file(
    document: dict[str, Any], environment: dict[str, str], tmp_path: Path
) -> None:
    """The secret of production was overridden by the one in a forgotten file."""
    path = write(tmp_path, document)
    write(tmp_path, "".join(f"{name}={value}\n" for name, value in environment.items()), "retail.env")
    configuration = read_configuration(path, {"ERP_MAIN_API_SECRET": "of the environment"})
    assert configuration.erps[0].api_secret.get_secret_value() == "of the environment"
    assert configuration.erps[0].api_key.get_secret_value() == environment["ERP_MAIN_API_KEY"]


def test_a_secret_is_taken_as_it_is(
    document: dict[str, Any], environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A secret that holds ${…} was changed by the .env reader, and the store refused it."""
    monkeypatch.setenv("INSIDE", "expanded")
    del environment["ERP_MAIN_API_SECRET"]
    write(tmp_path, "ERP_MAIN_API_SECRET='a${INSIDE}b$c'\n", "retail.env")
    configuration = read_configuration(write(tmp_path, document), environment)
    assert configuration.erps[0].api_secret.get_secret_value() == "a${INSIDE}b$c"


def test_policies_are_overridden_per_entity(
    document: dict[str, Any], environment: dict[str, str], tmp_path: Path
) -> None:
    """One entity's tolerance held for all, or took the other defaults away."""
    document["policies"] = {"default": {"bank_grace_days": 9}, "entities": {"DE": {"tolerance_minor_units": 5}}}
    configuration = read_configuration(write(tmp_path, document), environment)
    assert configuration.policy("DE").model_dump() == {
        "revenue_recognition": "capture",
        "posting": "lines",
        "tolerance_minor_units": 5,
        "settlement_grace_days": 2,
        "bank_grace_days": 9,
        "disputes": "receivable",
        "tips": "staff",
        "tip_names": ("Tip", "Tips", "Gratuity", "Trinkgeld"),
        "invoices": "none",
        "approval_limit": None,
        "write_off_limit": None,
        "manual_link_limit": None,
        "policy_approval": False,
    }
    assert configuration.policy("US").tolerance_minor_units == 1


def test_a_store_names_its_warehouses_once(
    document: dict[str, Any], environment: dict[str, str], tmp_path: Path
) -> None:
    """A warehouse named twice counts twice, and the shop sells what nobody has."""
    document["stores"][0]["stock"] = {"warehouses": ["Main - C"], "safety_quantity": "1.5"}
    with_stock, without = read_configuration(write(tmp_path, document), environment).stores[:2]
    assert (with_stock.stock and with_stock.stock.safety_quantity, without.stock) == (Decimal("1.5"), None)
    document["stores"][0]["stock"] = {"warehouses": ["Main - C", "Main - C"]}
    with pytest.raises(SettingsError, match=r"stores\[0\].stock.warehouses.*is named 2 times"):
        read_configuration(write(tmp_path, document), environment)


def test_gift_cards_are_a_matter_of_each_store(
    document: dict[str, Any], environment: dict[str, str], tmp_path: Path
) -> None:
    """What is owed on cards was read inexactly, or a shop that says nothing of cards owed something."""
    document["stores"][0]["gift_cards"] = {"skus": ["GC-50"], "products": [12], "opening": {"USD": "10.10", "EUR": "0"}}
    with_cards, without = read_configuration(write(tmp_path, document), environment).stores[:2]
    assert with_cards.gift_cards.skus == ("GC-50",)
    assert with_cards.gift_cards.products == (12,)
    assert with_cards.gift_cards.opening == {"USD": Decimal("10.10"), "EUR": Decimal(0)}
    assert not without.gift_cards.opening


@pytest.mark.parametrize("opening", [{"JPY": "10.50"}, {"USD": "10.505"}, {"USD": "-1"}, {"USD": 10.5}, {"XXY": "1"}])
def test_what_nobody_can_owe_on_gift_cards_is_refused(
    document: dict[str, Any], environment: dict[str, str], tmp_path: Path, opening: dict[str, Any]
) -> None:
    """Half a yen, a debt below nothing or an inexact number became the opening of the sub-ledger."""
    document["stores"][0]["gift_cards"] = {"opening": opening}
    with pytest.raises(SettingsError, match=r"stores\[0\].gift_cards.opening"):
        read_configuration(write(tmp_path, document), environment)


def test_each_source_is_polled_at_its_own_rhythm(
    document: dict[str, Any], environment: dict[str, str], tmp_path: Path
) -> None:
    """An interval that drifts through the day, or a rhythm that is silently not obeyed, breaks a quota or a promise."""
    for index, poll in ((0, "2h"), (1, "0 6 * * 1-5"), (2, "never")):
        document["stores"][index]["poll"] = poll
    found = read_configuration(write(tmp_path, document), environment)
    assert [store.rhythm for store in found.stores] == ["0 */2 * * *", "0 6 * * 1-5", None]
    assert {gateway.rhythm for gateway in found.gateways} == {"*/30 * * * *", None}, "files are picked up, not polled"


def test_lookups_of_unknown_instances_raise(
    document: dict[str, Any], environment: dict[str, str], tmp_path: Path
) -> None:
    """Asking for an entity that does not exist gave another one."""
    configuration = read_configuration(write(tmp_path, document), environment)
    assert configuration.entity("DE").base_currency == "EUR"
    assert configuration.bank("bank_jp").currency == "JPY"
    for look_up in (configuration.entity, configuration.bank, configuration.erp):
        with pytest.raises(KeyError):
            look_up("nothing")


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01T00:00:00Z", "2026-11-05T12:00:00", "2026-11-05"])
def test_a_clock_without_a_zone_is_refused(text: str) -> None:
    """A local time taken for UTC moved sales into another day, and at its end into another period."""
    with pytest.raises(SettingsError, match="RETAIL_AS_OF"):
        load_settings({"RETAIL_AS_OF": text})


def test_the_clock_is_the_one_that_was_set() -> None:
    """A run with a fixed clock looked at the wall clock, and two runs over the same inputs differed."""
    settings = load_settings({"RETAIL_AS_OF": "2026-11-05T21:00:00+09:00"})
    assert settings.now() == datetime(2026, 11, 5, 12, tzinfo=UTC)
    assert settings.now().utcoffset() == timedelta(0)
    running = load_settings({"RETAIL_AS_OF": ""}).now()
    assert abs(running - datetime.now(UTC)) < timedelta(minutes=1)


def test_the_home_is_where_it_was_set(tmp_path: Path) -> None:
    """State of a test or of a second retailer was written into the checkout."""
    settings = load_settings({"RETAIL_HOME": str(tmp_path / "elsewhere")})
    places = (
        settings.warehouse_path,
        settings.dlt_path,
        settings.dagster_path,
        settings.audit_anchor_path,
        settings.sandbox_path,
        settings.dbt_target_path,
        settings.inbox_path(settings.configuration.banks[0]),
    )
    assert all(place.is_relative_to(tmp_path / "elsewhere") for place in places)
    assert not (tmp_path / "elsewhere").exists()


def test_the_published_schema_is_the_one_that_holds() -> None:
    """Editors checked retail.yaml against a schema that the program no longer has."""
    published = (CHECKOUT / "docs" / "retail.schema.json").read_text(encoding="utf-8")
    assert json.loads(published) == json_schema(), "run: python -m retail_assets.catalogue"


def test_the_published_schema_accepts_the_shipped_file(document: dict[str, Any]) -> None:
    """The schema refused what the program accepts."""
    Draft202012Validator.check_schema(json_schema())
    validator = Draft202012Validator(json_schema())
    # Addresses and currencies are checked by the program; the schema sees ${NAME} as any text.
    assert not list(validator.iter_errors(document))
    assert Configuration.model_fields.keys() >= document.keys()
    document["stores"][0]["consumer_secret"] = CANARY
    document["stores"][0]["colour"] = "red"
    assert len(list(validator.iter_errors(document))) == 2


_SERVES = {"entity": "US", "bank": "bank_us", "stores": [{"store": "cedar_us"}]}


@pytest.mark.parametrize(
    ("section", "block", "says"),
    [
        (
            "gateways",
            {**_SERVES, "system": "settlement_file", "mapping": {"columns": {"type": "T", "net": "N", "colour": "C"}}},
            [".mapping: ", "columns.colour is none of ours", "columns.currency is missing", "booked_at or columns.pay"],
        ),
        (
            "banks",
            {"format": "csv", "entity": "US", "account": "US00TEST", "currency": "USD",
             "mapping": {"columns": {"amount": "A"}}},
            [".mapping: columns.booking_date or columns.value_date is missing"],
        ),
        (
            "tax",
            {"system": "remittance_file", "entity": "US", "mapping": {"columns": {"currency": "C"}}},
            [".mapping: columns.jurisdiction is missing"],
        ),
        (
            "fulfilment",
            {"system": "threepl_csv", "stores": ["cedar_us"], "stock_levels": {"columns": {"file_name": "F"}}},
            [".stock_levels: ", "columns.file_name is none of ours", "columns.on_hand is missing"],
        ),
    ],
)  # fmt: skip
def test_a_mapping_is_checked_before_any_file_is_read(
    document: dict[str, Any],
    environment: dict[str, str],
    tmp_path: Path,
    section: str,
    block: dict[str, Any],
    says: list[str],
) -> None:
    """A mapping without amounts passed the check; the first load after the first file said what was missing."""
    blocks = document.setdefault(section, [])
    blocks.append({"id": "spoilt", "folder": "spoilt", **block})
    found = problems(write(tmp_path, document), environment)
    assert f"{section}[{len(blocks) - 1}]" in found
    for words in says:
        assert words in found


def test_a_date_in_the_name_of_a_file_stands_in_for_its_column(
    document: dict[str, Any], environment: dict[str, str], tmp_path: Path
) -> None:
    """A whole file that is one payout names its day in its own name only."""
    mapping = {"columns": {"type": "T", "net": "N", "currency": "C"}}
    block = {**_SERVES, "id": "named", "system": "settlement_file", "folder": "named", "mapping": mapping}
    document["gateways"].append({**block, "file_name_pattern": "(?P<date>[0-9]{8})"})
    assert read_configuration(write(tmp_path, document), environment).gateways[-1].id == "named"


def test_one_account_is_configured_once(document: dict[str, Any], environment: dict[str, str], tmp_path: Path) -> None:
    """The same account by its API and by its reports counted all its money twice."""
    secrets = {"client_id": "${PAYPAL_ID}", "client_secret": "${PAYPAL_SECRET}"}
    block = {**_SERVES, "account_id": "EZ782AXEUJUW8"}
    api = {"system": "paypal", "base_url": "https://api-m.paypal.com"}
    document["gateways"] += [
        {**block, **secrets, **api, "id": "by_api"},
        {**block, "id": "by_file", "system": "paypal_reports", "folder": "by_file"},
    ]
    found = problems(write(tmp_path, document), {**environment, "PAYPAL_SECRET": "canary", "PAYPAL_ID": "canary"})
    assert "by_api and by_file are the same account, 'EZ782AXEUJUW8'" in found


def test_what_a_mapping_may_name_is_what_its_reader_takes() -> None:
    """The check of retail.yaml and the reader of the files wanted different columns."""
    declared = {
        (system.name, setting.name): setting
        for system in SYSTEMS.values()
        for variant in system.variants.values()
        for setting in variant.settings
        if setting.type == "csv_mapping"
    }
    bank, acquirer = declared.pop(("bank", "mapping")), declared.pop(("settlement_file", "mapping"))
    assert set(bank.maps) == set(bank_lines.MAPPABLE)
    assert set(bank.needs) == set(bank_lines.REQUIRED)
    assert set(acquirer.maps) == set(settlement_lines.MAPPABLE)
    assert set(acquirer.needs[:-1]) == set(settlement_lines.REQUIRED)
    taxes = declared.pop(("tax", "mapping"))
    assert (taxes.maps, taxes.needs) == ("remittances", remittances.REMITTANCE_COLUMNS)
    assert {name: (setting.maps, setting.needs) for (_, name), setting in declared.items()} == {
        name: (name, needs) for name, needs in provider_files.WANTED.items()
    }


def test_a_fee_contract_is_read_exactly(document: dict[str, Any], environment: dict[str, str], tmp_path: Path) -> None:
    """A rate that YAML read as a binary float claimed a cent too much on large sales."""
    document["gateways"][0]["fees"] = [
        {"id": "home", "percent": "2.9", "fixed": "0.30", "currency": "USD", "region": "domestic"},
        {"id": "amex", "percent": "3.5", "currency": "USD", "card_brand": "Amex", "region": "domestic"},
        {"id": "old", "percent": "2.5", "currency": "USD", "region": "eea", "valid_to": "2026-09-30"},
        {"id": "new", "percent": "2.6", "currency": "USD", "region": "eea", "valid_from": "2026-10-01"},
    ]
    rules = read_configuration(write(tmp_path, document), environment).gateways[0].fees
    assert rules[0].percent == Decimal("2.9")
    assert [rule.specificity for rule in rules] == [2, 3, 2, 2]
    assert rules[1].conditions == ("USD", None, "amex", "domestic")


@pytest.mark.parametrize(
    ("rules", "named"),
    [
        ([{"id": "a", "percent": 2.9}], ["gateways[0].fees[0].percent", "in quotes"]),
        ([{"id": "a", "percent": "-1"}], ["gateways[0].fees[0].percent", "greater than or equal to 0"]),
        ([{"id": "a", "percent": "nan"}], ["gateways[0].fees[0].percent"]),
        ([{"id": "a", "fixed": "0.30"}], ["gateways[0].fees[0]", "needs its currency"]),
        ([{"id": "a"}], ["gateways[0].fees[0]", "neither percent nor fixed"]),
        ([{"id": "a", "percent": "1", "maximum": "5"}], ["gateways[0].fees[0]", "needs its currency"]),
        (
            [{"id": "a", "percent": "1", "currency": "EUR", "minimum": "6", "maximum": "5"}],
            ["gateways[0].fees[0]", "minimum above its maximum"],
        ),
        (
            [{"id": "a", "percent": "1", "valid_from": "2026-02-01", "valid_to": "2026-01-31"}],
            ["gateways[0].fees[0]", "before it begins"],
        ),
        ([{"id": "a", "percent": "1"}, {"id": "a", "percent": "2"}], ["gateways[0].fees[1].id", "twice"]),
        (
            [{"id": "a", "percent": "1", "card_brand": "visa"}, {"id": "b", "percent": "2", "region": "eea"}],
            ["gateways[0].fees[1]", "'b' and 'a'", "equally many conditions"],
        ),
    ],
)
def test_a_fee_contract_that_nobody_could_apply_is_refused(
    document: dict[str, Any],
    environment: dict[str, str],
    tmp_path: Path,
    rules: list[dict[str, Any]],
    named: list[str],
) -> None:
    """Of two rules for one sale the models would have taken either."""
    document["gateways"][0]["fees"] = rules
    message = problems(write(tmp_path, document), environment)
    assert all(part in message for part in named), message
