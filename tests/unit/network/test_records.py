from __future__ import annotations

import pytest

from knarr.errors import Corrupt
from knarr.network.model import AddressPool, Endpoint, Network, realm_of
from knarr.network.records import (
    decode_endpoint,
    decode_network,
    encode_endpoint,
    encode_network,
)
from knarr.util import jsontext

NETWORK = Network(
    "1" * 64, "web", "bridge", "knarr1",
    (AddressPool("10.9.0.0/24", "10.9.0.1", "10.9.0.128/25", (("x", "10.9.0.2"),)),),
    internal=True, talkative=False, mtu=1400, chosen=True, created_ns=5,
    options={"a": "b"}, labels={"c": "d"},
)  # fmt: skip
ENDPOINT = Endpoint(
    "2" * 64, "3" * 64, "1" * 64, "web", "eth0", "kv222222222222", "02:42:0a:09:00:80",
    "10.9.0.128", 24, "10.9.0.1", ("db",),
)  # fmt: skip


def test_a_network_comes_back_as_it_was() -> None:
    text = jsontext.dumps(encode_network(NETWORK))
    assert decode_network(NETWORK.id, NETWORK.name, jsontext.loads(text)) == NETWORK


def test_an_endpoint_comes_back_as_it_was() -> None:
    value = jsontext.loads(jsontext.dumps(encode_endpoint(ENDPOINT)))
    read = decode_endpoint(ENDPOINT.network_id, ENDPOINT.sandbox_id, ENDPOINT.address, value)
    assert read == ENDPOINT


@pytest.mark.parametrize("value", [{}, {"pools": [["10.9.0.0/24"]]}, {"pools": 3}, {"x": []}])
def test_a_damaged_network_is_said_to_be_so(value: dict[str, object]) -> None:
    with pytest.raises(Corrupt, match="network web is damaged"):
        decode_network("1", "web", value)


def test_a_damaged_endpoint_is_said_to_be_so() -> None:
    with pytest.raises(Corrupt, match="endpoint of c is damaged"):
        decode_endpoint("n", "c", "10.9.0.2", {"id": "x"})


def test_only_the_default_root_has_short_names() -> None:
    default = realm_of("/var/lib/knarr", "/var/lib/knarr")
    other = realm_of("/srv/knarr", "/var/lib/knarr")
    assert (default.table, default.prefix) == ("knarr", "knarr")
    assert other.table.startswith("knarr-")
    assert len(other.prefix) == 11
    assert other != realm_of("/srv/knarr2", "/var/lib/knarr")
