"""One address for all systems, with faults on demand."""

import threading
import time
from pathlib import Path

import pytest
import requests

from retail_assets.sandbox.faults import Fault
from retail_assets.sandbox.generator import generate
from retail_assets.sandbox.server import AddressError, MissingCredentialError, RunningServer, create_app, running_server
from tests.sandbox.conftest import CREDENTIALS, State

HEADERS = {"Authorization": f"Bearer {CREDENTIALS['STRIPE_US_API_KEY']}"}


@pytest.fixture
def server(sandbox: RunningServer):
    """The shared server, without faults before and after."""
    sandbox.faults.clear()
    yield sandbox
    sandbox.faults.clear()


def balance(server: RunningServer, timeout: float = 10) -> requests.Response:
    return requests.get(f"{server.url}/stripe_us/v1/balance", headers=HEADERS, timeout=timeout)


def test_every_system_answers_at_its_own_path(server: RunningServer) -> None:
    """A mount that is missing shows as 404, not as a refusal."""
    for path in ("cedar_us/wp-json/wc/v3/orders", "linden_de/wp-json/wc/v3/orders", "aoi_jp/wp-json/wc/v3/orders"):
        assert requests.get(f"{server.url}/{path}", timeout=10).status_code == 401
    for path in ("stripe_us/v1/balance", "stripe_de/v1/balance", "stripe_jp/v1/balance"):
        assert requests.get(f"{server.url}/{path}", timeout=10).status_code == 401
    documents = "avatax_us/api/v2/companies/CEDARPINE/transactions"
    assert requests.get(f"{server.url}/{documents}", timeout=10).status_code == 401
    assert requests.get(f"{server.url}/erp_main/api/resource/Company", timeout=10).status_code in (401, 403)
    world = requests.get(f"{server.url}/_sandbox/world", timeout=10).json()
    assert (world["seed"], world["orders"]) == (7, 450)


def test_the_erp_holds_the_seed(server: RunningServer) -> None:
    """The mapping of accounts is checked against the ERP's chart, so that it must hold every code."""
    key, secret = CREDENTIALS["ERP_MAIN_API_KEY"], CREDENTIALS["ERP_MAIN_API_SECRET"]
    answer = requests.get(
        f"{server.url}/erp_main/api/resource/Account",
        params={"fields": '["account_number","company"]', "limit_page_length": 0},
        headers={"Authorization": f"token {key}:{secret}"}, timeout=10,
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    numbers = {(row["company"], row["account_number"]) for row in answer.json()["data"]}
    needed = {1100, 1200, 1210, 1250, 1260, 1270, 1290, 4000, 4100, 4200, 6100, 6110, 6900, 6910}
    for company in ("Cedar & Pine LLC", "Lindenhof GmbH", "Aoi K.K."):
        assert {(company, str(number)) for number in needed} <= numbers


@pytest.mark.parametrize(("name", "status"), [("rate_limited", 429), ("server_error", 500)])
def test_counted_faults_end(server: RunningServer, name: str, status: int) -> None:
    """After the set number of bad answers the system recovers by itself, as a retry expects."""
    server.faults.set("stripe_us", Fault.from_json({name: 2, "retry_after": 3}))
    answers = [balance(server) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [status, status, 200]
    assert answers[0].headers.get("Retry-After") == ("3" if status == 429 else None)


def test_down_stays_down_and_hits_one_mount_only(server: RunningServer) -> None:
    """One dead system must not look like all of them."""
    server.faults.set("stripe_us", Fault(down=True))
    assert [balance(server).status_code for _ in range(3)] == [503, 503, 503]
    assert requests.get(f"{server.url}/stripe_de/v1/balance", timeout=10).status_code == 401
    server.faults.clear()
    assert balance(server).ok


def test_truncated_and_dropped_connections_are_errors(server: RunningServer) -> None:
    """A body that breaks off must never pass for a whole one."""
    server.faults.set("stripe_us", Fault(truncated=1))
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        balance(server)
    server.faults.set("stripe_us", Fault(dropped=1))
    with pytest.raises(requests.exceptions.ConnectionError):
        balance(server)
    assert balance(server).ok


def test_slow_answers(server: RunningServer) -> None:
    """A client's time-out can be tried without waiting for it long."""
    server.faults.set("stripe_us", Fault(delay=0.4))
    started = time.perf_counter()
    assert balance(server).ok
    assert time.perf_counter() - started >= 0.4
    with pytest.raises(requests.exceptions.ReadTimeout):
        balance(server, timeout=0.1)


def test_faults_can_be_set_from_outside(server: RunningServer) -> None:
    """A running demo is made to misbehave over HTTP; nonsense is refused with the reason."""
    url = f"{server.url}/_sandbox/faults"
    assert requests.put(url, json={"stripe_us": {"server_error": 1}}, timeout=10).ok
    assert requests.get(url, timeout=10).json()["stripe_us"]["server_error"] == 1
    assert balance(server).status_code == 500
    assert requests.delete(url, timeout=10).json() == {}
    assert balance(server).ok
    for wrong in ({"nobody": {"down": True}}, {"stripe_us": {"broken": 1}}, {"stripe_us": {"down": 1}},
                  {"stripe_us": {"rate_limited": -1}}, {"stripe_us": {"delay": 3600}}, [1]):  # fmt: skip
        answer = requests.put(url, json=wrong, timeout=10)
        assert answer.status_code == 400
        assert answer.json()["error"]
    assert requests.put(url, data=b"{", timeout=10).status_code == 400
    assert requests.post(url, timeout=10).status_code == 405


def test_a_world_is_needed(tmp_path: Path) -> None:
    """Without a world the message says what to run."""
    with pytest.raises(FileNotFoundError, match="retail sandbox generate"):
        create_app(tmp_path, CREDENTIALS)


def test_an_unfinished_world_is_no_world(tmp_path: Path) -> None:
    """A generator that was killed must not leave something that looks complete."""
    generate(tmp_path, orders=60, days=30)
    (tmp_path / "sandbox" / "world.json").unlink()
    with pytest.raises(FileNotFoundError, match="retail sandbox generate"):
        create_app(tmp_path, CREDENTIALS)


def test_every_credential_is_needed(world: State) -> None:
    """A server without a key would let anybody in, or nobody."""
    for name in CREDENTIALS:
        with pytest.raises(MissingCredentialError, match=name):
            create_app(world.home, {**CREDENTIALS, name: ""})


def test_a_stopped_server_is_gone(world: State) -> None:
    """Tests must not leave threads or ports behind."""
    with running_server(world.home, CREDENTIALS) as running:
        assert balance(running).ok
    assert "sandbox" not in [thread.name for thread in threading.enumerate() if not thread.daemon]
    with pytest.raises(requests.exceptions.ConnectionError):
        balance(running)


def test_a_taken_port_is_an_error(server: RunningServer, world: State) -> None:
    """A second server on the same port must fail loudly, not serve nobody."""
    port = int(server.url.rpartition(":")[2])
    with pytest.raises(AddressError, match="cannot listen"), running_server(world.home, CREDENTIALS, port=port):
        pass
