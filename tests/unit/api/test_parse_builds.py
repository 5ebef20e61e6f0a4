"""The query of a build."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from knarr.api.call import Call
from knarr.api.parse.builds import parse_build
from knarr.errors import InvalidArgument, KnarrError, Unsupported

if TYPE_CHECKING:
    from knarr.engine.builds import BuildOptions


REPEATED = ("t", "extrahosts")


class Images:
    """A store that has busybox."""

    def find(self, text: str) -> object | None:
        return object() if text == "busybox" else None


def parse(**query: Any) -> BuildOptions:
    texts = {
        key: value if isinstance(value, str) or key in REPEATED else json.dumps(value)
        for key, value in query.items()
    }
    images: Any = Images()
    return parse_build(Call("POST", "/build", urlencode(texts, doseq=True), {}), images)


def test_nothing_asked_is_the_body_and_its_dockerfile() -> None:
    options = parse()
    assert (options.context, options.dockerfile, options.network) == ("-", "", "default")
    assert options.limits is None
    assert not options.no_cache
    assert not options.pull


def test_everything_asked_arrives() -> None:
    options = parse(
        dockerfile="sub/Dockerfile", t=["a:1", "b:2"], target="last", platform="linux/arm64",
        networkmode="none", extrahosts=["host:10.0.0.1"], nocache="1", pull="true",
        buildargs={"A": "1", "B": None}, labels={"l": "v"}, rm="1", forcerm="1", version="1",
    )  # fmt: skip
    assert options.dockerfile == "sub/Dockerfile"
    assert options.tags == ("a:1", "b:2")
    assert (options.target, options.platform, options.network) == ("last", "linux/arm64", "none")
    assert options.hosts == ("host:10.0.0.1",)
    assert options.no_cache
    assert options.pull
    assert options.arguments == {"A": "1"}
    assert options.labels == {"l": "v"}


def test_limits() -> None:
    ulimits = [{"Name": "nofile", "Soft": 10, "Hard": 20}]
    options = parse(
        memory="104857600", memswap="-1", cpushares="512", cpusetcpus="0-1", cpuperiod="100000",
        cpuquota="50000", shmsize="1048576", cgroupparent="/x", ulimits=ulimits,
    )  # fmt: skip
    assert options.limits is not None
    resources = options.limits.resources
    assert options.limits.shm_size == 1 << 20
    assert (resources.memory, resources.memory_swap) == (104857600, -1)
    assert (resources.cpu_shares, resources.cpuset_cpus) == (512, "0-1")
    assert (resources.cpu_period_us, resources.cpu_quota_us) == (100000, 50000)
    assert resources.cgroup_parent == "/x"
    (ulimit,) = resources.ulimits
    assert (ulimit.name, ulimit.soft, ulimit.hard) == ("nofile", 10, 20)


def test_results_come_from_named_images_alone() -> None:
    assert not parse(cachefrom=["gone", "busybox"]).no_cache
    assert parse(cachefrom=["gone"]).no_cache


@pytest.mark.parametrize(
    "remote", ["https://host.example/context.tar", "https://host.example/x.git"]
)
def test_a_context_from_elsewhere(remote: str) -> None:
    assert parse(remote=remote).context == remote


def test_a_session_has_a_context_for_buildkit_alone() -> None:
    assert parse(remote="client-session", version="2").context == "client-session"


@pytest.mark.parametrize("remote", ["/etc", ".", "-", "../x", "client-session", "file:///etc"])
def test_nothing_of_the_server_is_a_context(remote: str) -> None:
    with pytest.raises(InvalidArgument, match="unable to prepare context"):
        parse(remote=remote)


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({"squash": "1"}, InvalidArgument),
        ({"isolation": "hyperv"}, InvalidArgument),
        ({"securityopt": ["x"]}, InvalidArgument),
        ({"outputs": [{"Type": "local", "Attrs": {"dest": "/"}}]}, InvalidArgument),
        ({"version": "3"}, Unsupported),
        ({"buildargs": ["A=1"]}, InvalidArgument),
        ({"buildargs": "{"}, InvalidArgument),
        ({"memory": "much"}, InvalidArgument),
        ({"ulimits": [{"Name": "nothing", "Soft": 1, "Hard": 1}]}, InvalidArgument),
        ({"cachefrom": {"a": 1}}, InvalidArgument),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_cannot_be_is_refused(query: dict[str, Any], error: type[KnarrError]) -> None:
    with pytest.raises(error):
        parse(**query)
