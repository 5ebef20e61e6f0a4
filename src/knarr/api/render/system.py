"""`/version` and `/info`: what clients want to know of an engine before they use it.

Docker: types/system of API 1.55
"""

from __future__ import annotations

from knarr.api import versions

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from typing import Any

    Document = dict[str, Any]

# Go's words for the kernel's names of architectures.
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
HUB = "https://index.docker.io/v1/"
COMMIT = {"ID": ""}
OUTSIDE_OF_SWARM = {
    "NodeID": "",
    "NodeAddr": "",
    "LocalNodeState": "inactive",
    "ControlAvailable": False,
    "Error": "",
    "RemoteManagers": None,
}


def version_document(version: str, python: str, host: os.uname_result) -> Document:
    """Return what `docker version` shows of the server."""
    facts = {
        "ApiVersion": versions.render(versions.NEWEST),
        "MinAPIVersion": versions.render(versions.OLDEST),
        "GitCommit": "",
        "GoVersion": f"python{python}",
        "Os": "linux",
        "Arch": ARCHITECTURES.get(host.machine, host.machine),
        "KernelVersion": host.release,
        "BuildTime": "",
    }
    details = {**facts, "Experimental": "false"}
    return {
        "Platform": {"Name": "knarr"},
        "Components": [{"Name": "Engine", "Version": version, "Details": details}],
        "Version": version,
        **facts,
    }


def info_document(facts: Document, engine_id: str) -> Document:
    """Return what `docker info` shows of the server, from what `knarr info` knows."""
    return {
        **facts,
        "ID": engine_id,
        "Driver": "overlay2",
        "Plugins": {**facts["Plugins"], "Authorization": None},
        "BridgeNfIptables": False,
        "BridgeNfIp6tables": False,
        "Debug": False,
        "NFd": 0,
        "NGoroutines": 0,
        "NEventsListener": 0,
        "IndexServerAddress": HUB,
        "RegistryConfig": {
            "InsecureRegistryCIDRs": ["::1/128", "127.0.0.0/8"],
            "IndexConfigs": {
                "docker.io": {"Name": "docker.io", "Mirrors": [], "Secure": True, "Official": True}
            },
            "Mirrors": [],
        },
        "GenericResources": None,
        "Labels": [],
        "ExperimentalBuild": False,
        "Swarm": OUTSIDE_OF_SWARM,
        "Isolation": "",
        "InitBinary": "knarr-init",
        "ContainerdCommit": COMMIT,
        "RuncCommit": COMMIT,
        "InitCommit": COMMIT,
        "CDISpecDirs": ["/etc/cdi", "/var/run/cdi"],
        "FirewallBackend": {"Driver": "nftables"},
    }
