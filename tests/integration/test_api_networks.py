"""Networks and volumes over the API, and what an engine outside of a swarm says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

if TYPE_CHECKING:
    from support.serving import Served

pytestmark = pytest.mark.root

IDLE = ("busybox", "sleep", "1000")


def filtered(served: Served, path: str, **filters: list[str]) -> Any:
    return served.get(f"{path}?filters={quote(json.dumps(filters))}")


def names(networks: list[dict[str, Any]]) -> list[str]:
    return [network["Name"] for network in networks]


def test_the_predefined_networks_are_there(served: Served) -> None:
    assert names(served.get("/networks")) == ["bridge", "host", "none"]
    assert names(served.get("/networks/")) == ["bridge", "host", "none"]
    assert names(filtered(served, "/networks", driver=["host"])) == ["host"]
    assert names(filtered(served, "/networks", scope=["swarm"])) == []
    status, error = served.ask("DELETE", "/networks/bridge")
    assert status == 403
    assert error["message"] == "bridge is a pre-defined network and cannot be removed"


def test_a_network_is_what_was_asked_for(served: Served) -> None:
    pool = {"Subnet": "10.77.0.0/24", "Gateway": "10.77.0.9", "IPRange": "10.77.0.128/25"}
    made = served.post("/networks/create", {
        "Name": "net", "Driver": "bridge", "IPAM": {"Config": [pool]}, "Labels": {"a": "b"},
        "Internal": True, "CheckDuplicate": True,
    })  # fmt: skip
    assert made["Warning"] == ""
    found = served.get(f"/networks/{made['Id'][:12]}")
    assert found["Name"] == "net"
    assert found["IPAM"]["Config"] == [pool]
    assert (found["Labels"], found["Internal"]) == ({"a": "b"}, True)
    assert names(filtered(served, "/networks", label=["a=b"])) == ["net"]
    status, error = served.ask("POST", "/networks/create", {"Name": "net"})
    assert (status, error["message"]) == (409, "network with name net already exists")
    assert served.ask("DELETE", "/networks/net") == (204, None)
    gone = {"message": "network net not found", "hint": "See knarr network ls."}
    assert served.ask("GET", "/networks/net") == (404, gone)


def test_containers_come_and_go(served: Served) -> None:
    served.post(
        "/networks/create", {"Name": "net", "IPAM": {"Config": [{"Subnet": "10.77.0.0/24"}]}}
    )
    container = served.knarr("run", "-d", "--name", "web", *IDLE).strip()
    settings = {"Aliases": ["www"], "IPAMConfig": {"IPv4Address": "10.77.0.50"}}
    body = {"Container": "web", "EndpointConfig": settings}
    assert served.ask("POST", "/networks/net/connect", body) == (200, None)
    member = served.get("/networks/net?verbose=1")["Containers"][container]
    assert (member["Name"], member["IPv4Address"]) == ("web", "10.77.0.50/24")
    subnets = {"10.77.0.0/24": {"IPsInUse": 4, "DynamicIPsAvailable": 252}}
    assert served.get("/networks/net")["Status"] == {"IPAM": {"Subnets": subnets}}
    assert "Status" not in served.get("/v1.51/networks/net")
    assert served.get("/networks")[-1]["Containers"] == {}
    assert served.ask("DELETE", "/networks/net")[0] == 409
    status, error = served.ask("POST", "/networks/net/connect", body)
    assert status == 409
    assert error["message"] == "endpoint with name web already exists in network net"
    assert served.ask("POST", "/networks/net/disconnect", {"Container": "web"}) == (200, None)
    assert served.ask("POST", "/networks/net/disconnect", {"Container": "web"})[0] == 404
    assert served.ask("POST", "/networks/net/connect", {"Container": "gone"})[0] == 404
    assert served.ask("POST", "/networks/net/connect", {"Container": 5})[0] == 400
    assert served.post("/networks/prune") == {"NetworksDeleted": ["net"]}
    assert served.post("/networks/prune") == {"NetworksDeleted": None}


def test_links_go_by_the_name_of_who_has_them(served: Served) -> None:
    served.post("/networks/create", {"Name": "net"})
    served.knarr("run", "-d", "--name", "the-db", "--network", "net", *IDLE)
    link = ("--network", "net", "--link", "the-db:db")
    served.knarr("run", "-d", "--name", "web", *link, *IDLE)
    ping = ("exec", "web", "sh", "-c", "ping -c1 -W1 db")
    assert "PING db" in served.knarr(*ping)
    assert served.ask("DELETE", "/containers/web/other?link=1")[0] == 404
    assert served.ask("DELETE", "/containers/web/db?link=1") == (204, None)
    assert "bad address 'db'" in served.knarr.do(*ping).stderr
    assert served.get("/containers/web/json")["HostConfig"]["Links"] is None
    assert served.ask("DELETE", "/containers/web/db?link=1")[0] == 404


def test_what_is_asked_of_a_place_shows_before_the_start(served: Served) -> None:
    served.post("/networks/create", {"Name": "net"})
    served.knarr("create", "--name", "web", *IDLE)
    settings = {"MacAddress": "02:42:0a:00:00:07", "DriverOpts": {"a": "b"}}
    served.post("/networks/net/connect", {"Container": "web", "EndpointConfig": settings})
    place = served.get("/containers/web/json")["NetworkSettings"]["Networks"]["net"]
    assert (place["MacAddress"], place["DriverOpts"]) == ("02:42:0a:00:00:07", {"a": "b"})


def test_volumes(served: Served) -> None:
    made = served.post("/volumes/create", {"Name": "data", "Labels": {"a": "b"}})
    assert (made["Name"], made["Driver"], made["Labels"]) == ("data", "local", {"a": "b"})
    assert made["Mountpoint"].endswith("/volumes/data/_data")
    assert served.post("/volumes/create", {"Name": "data"}) == made
    assert served.get("/volumes/data") == made
    assert served.get("/volumes") == {"Volumes": [made], "Warnings": None}
    assert filtered(served, "/volumes", label=["a=c"])["Volumes"] == []
    served.knarr("run", "-d", "--name", "web", "-v", "data:/data", *IDLE)
    status, error = served.ask("DELETE", "/volumes/data")
    assert status == 409
    assert error["message"].startswith("remove data: volume is in use - [")
    served.knarr("rm", "-f", "web")
    assert served.ask("DELETE", "/volumes/data") == (204, None)
    missing = {"message": "get data: no such volume"}
    assert served.ask("GET", "/volumes/data") == (404, missing)
    assert served.ask("DELETE", "/volumes/data") == (404, missing)
    assert served.ask("DELETE", "/volumes/data?force=1") == (204, None)
    assert served.ask("POST", "/volumes/create", {"Name": "x", "Driver": "nfs"})[0] in (400, 404)
    assert served.ask("PUT", "/volumes/data", {})[0] == 503


def test_volumes_take_the_options_of_their_driver(served: Served) -> None:
    options = {"type": "tmpfs", "device": "tmpfs", "o": "size=1m"}
    made = served.post("/volumes/create", {"Name": "memory", "DriverOpts": options})
    assert made["Options"] == options
    assert served.ask("POST", "/volumes/create", {"Name": "x", "DriverOpts": {"no": "1"}})[0] == 400


def test_old_clients_prune_volumes_with_names_too(served: Served) -> None:
    served.post("/volumes/create", {"Name": "named"})
    anonymous = served.post("/volumes/create")["Name"]
    assert served.post("/volumes/prune")["VolumesDeleted"] == [anonymous]
    assert served.post("/v1.41/volumes/prune")["VolumesDeleted"] == ["named"]


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/swarm", 503, "This node is not a swarm manager."),
        ("GET", "/nodes", 503, "This node is not a swarm manager."),
        ("POST", "/services/create", 503, "This node is not a swarm manager."),
        ("GET", "/tasks/x/logs", 503, "This node is not a swarm manager."),
        ("DELETE", "/secrets/x", 503, "This node is not a swarm manager."),
        ("GET", "/configs", 503, "This node is not a swarm manager."),
        ("POST", "/swarm/leave", 503, "This node is not part of a swarm"),
        ("POST", "/swarm/init", 501, "swarm mode is not supported"),
        ("GET", "/plugins/some/one/json", 404, 'plugin "some/one" not found'),
        ("POST", "/plugins/pull", 501, "plugins are not supported"),
    ],
)
def test_there_is_neither_a_swarm_nor_a_plugin(
    served: Served, method: str, path: str, status: int, words: str
) -> None:
    answered, document = served.ask(method, path, {} if method == "POST" else None)
    assert answered == status
    assert document["message"].startswith(words)


def test_the_list_of_plugins_is_empty(served: Served) -> None:
    assert served.get("/plugins") == []
