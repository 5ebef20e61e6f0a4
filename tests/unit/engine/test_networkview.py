"""Lists and documents of networks; `ensure_default` needs no privileges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from knarr.engine.engine import Engine
from knarr.engine.network import view as networkview
from knarr.engine.networks import check_name
from knarr.errors import Conflict, InvalidArgument, NotFound, PermissionDenied, Unavailable
from knarr.network.model import AddressPool, Network
from knarr.network.records import encode_network
from knarr.store.networks import NetworkRow
from knarr.util import jsontext

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = Engine(str(tmp_path / "root"), str(tmp_path / "run"))
    made.networks.ensure_default()
    for network in (
        Network(
            "ab" * 32, "web", "bridge", "kn-1",
            (AddressPool("10.9.0.0/24", "10.9.0.1", "10.9.0.128/25", (("x", "10.9.0.2"),)),),
            internal=True, created_ns=1_700_000_000_000_000_000, labels={"tier": "front"},
        ),
        Network(
            "ac" * 32, "db", "bridge", "kn-2", (AddressPool("10.9.1.0/24", "10.9.1.1"),),
            created_ns=1,
        ),
    ):  # fmt: skip
        detail = jsontext.dumps(encode_network(network))
        row = NetworkRow(network.id, network.name, network.created_ns, detail)
        made.networks.records.add(row)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ([], ["bridge", "db", "host", "none", "web"]),
        (["type=custom"], ["db", "web"]),
        (["type=builtin"], ["bridge", "host", "none"]),
        (["name=b"], ["bridge", "db", "web"]),
        (["id=ab"], ["web"]),
        (["driver=null"], ["none"]),
        (["label=tier"], ["web"]),
        (["label=tier=back"], []),
        (["dangling=true"], ["db", "web"]),
        (["scope=local", "type=custom"], ["db", "web"]),
        (["scope=swarm"], []),
    ],
    ids=" ".join,
)
def test_lists_are_filtered(engine: Engine, filters: list[str], names: list[str]) -> None:
    found = networkview.list_networks(engine.networks, filters)
    assert [network.name for network in found] == names


@pytest.mark.parametrize("text", ["type=other", "colour=red", "dangling=perhaps"])
def test_a_filter_that_means_nothing_is_refused(engine: Engine, text: str) -> None:
    with pytest.raises(InvalidArgument):
        networkview.list_networks(engine.networks, [text])


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ([], ["db", "web"]),
        (["label=tier"], ["web"]),
        (["label!=tier"], ["db"]),
        (["until=2000-01-01T00:00:00"], ["db"]),
    ],
    ids=["all", "label", "without", "until"],
)
def test_predefined_networks_are_not_pruned(
    engine: Engine, filters: list[str], names: list[str]
) -> None:
    found = networkview.prunable(engine.networks, filters)
    assert [network.name for network in found] == names


def test_the_document_is_dockers(engine: Engine) -> None:
    document = engine.networks.inspect("web")
    assert document["Id"] == "ab" * 32
    assert document["Created"] == "2023-11-14T22:13:20Z"
    assert document["Internal"] is True
    assert document["IPAM"]["Config"] == [
        {
            "Subnet": "10.9.0.0/24",
            "IPRange": "10.9.0.128/25",
            "Gateway": "10.9.0.1",
            "AuxiliaryAddresses": {"x": "10.9.0.2"},
        }
    ]
    assert document["Containers"] == {}


@pytest.mark.parametrize(
    ("text", "name"),
    [("web", "web"), ("ab", "web"), ("ab" * 32, "web"), ("default", "bridge"), ("none", "none")],
)
def test_a_network_is_found_by_name_and_id(engine: Engine, text: str, name: str) -> None:
    assert engine.networks.get(text).name == name


def test_the_start_of_two_ids_is_ambiguous(engine: Engine) -> None:
    with pytest.raises(InvalidArgument, match="network a is ambiguous"):
        engine.networks.get("a")


@pytest.mark.parametrize("text", ["nope", "", "ABAB"])
def test_what_is_not_there_is_not_found(engine: Engine, text: str) -> None:
    with pytest.raises(NotFound, match=f"network {text} not found"):
        engine.networks.get(text)


@pytest.mark.parametrize("name", ["", "-x", ".x", "a/b", "ü"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid network name"):
        check_name(name)


@pytest.mark.parametrize("name", ["web", "host", "none", "bridge", "default"])
def test_a_name_is_had_once(engine: Engine, name: str) -> None:
    with pytest.raises(Conflict, match=f"network with name {name} already exists"):
        engine.networks.create(name)


def test_another_driver_is_not_to_be_had(engine: Engine) -> None:
    from knarr.engine.networks import NetworkOptions

    for driver, error, words in (
        ("overlay", Unavailable, "not a swarm manager"),
        ("weave", NotFound, 'plugin "weave" not found'),
        ("host", PermissionDenied, 'only one instance of "host" network is allowed'),
        ("null", PermissionDenied, 'only one instance of "null" network is allowed'),
    ):
        with pytest.raises(error, match=words):
            engine.networks.create("x", NetworkOptions(driver=driver))
