"""Settings in files, and where references lead by them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from knarr.errors import InvalidArgument, PermissionDenied
from knarr.oci.reference import parse_reference
from knarr.registry import hostfiles
from knarr.registry.hosts import ALWAYS, FALLBACK, NEVER, Hosts

if TYPE_CHECKING:
    from pathlib import Path

DIGEST = "sha256:" + "0" * 64


class Machine:
    """The directories that settings are read from."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def write(self, path: str, text: str) -> None:
        target = self.place / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def load(self, **environ: str) -> Hosts:
        home = str(self.place / "home")
        return hostfiles.load({"HOME": home, **environ}, etc=str(self.place / "etc"))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def places(hosts: Hosts, name: str) -> list[str]:
    """Return where `name` leads, as `host/repository`."""
    return [f"{e.host}/{e.repository}" for e in hosts.endpoints(parse_reference(name))]


def test_without_settings(machine: Machine) -> None:
    hosts = machine.load()
    assert places(hosts, "debian") == ["registry-1.docker.io/library/debian"]
    assert places(hosts, "x.test:5000/a/b") == ["x.test:5000/a/b"]
    (endpoint,) = hosts.endpoints(parse_reference("debian"))
    assert (endpoint.registry, endpoint.plain, endpoint.security.verify) == (
        "docker.io", NEVER, True,
    )  # fmt: skip


@pytest.mark.parametrize(
    "name", ["localhost/a", "localhost:5000/a", "127.0.0.1:5000/a", "127.8.9.1:1/a", "[::1]:5000/a"]
)
def test_this_machine_may_be_without_tls(machine: Machine, name: str) -> None:
    (endpoint,) = machine.load().endpoints(parse_reference(name))
    assert endpoint.plain == FALLBACK
    assert not endpoint.security.verify


def test_mirrors_come_first(machine: Machine) -> None:
    machine.write(
        "etc/knarr/registries.toml",
        """
        [[registry]]
        prefix = "docker.io"
        [[registry.mirror]]
        location = "mirror.test/hub"
        insecure = true
        [[registry.mirror]]
        location = "digests.test"
        pull-from-mirror = "digest-only"
        """,
    )
    hosts = machine.load()
    home = "registry-1.docker.io/library/debian"
    assert places(hosts, "debian:12") == ["mirror.test/hub/library/debian", home]
    assert places(hosts, f"debian@{DIGEST}") == [
        "mirror.test/hub/library/debian", "digests.test/library/debian", home,
    ]  # fmt: skip
    first, last = hosts.endpoints(parse_reference("debian:12"))
    assert (first.registry, first.plain, first.mirror) == ("mirror.test", FALLBACK, True)
    assert (last.registry, last.plain, last.mirror) == ("docker.io", NEVER, False)


def test_the_longest_prefix_has_the_word(machine: Machine) -> None:
    machine.write(
        "etc/knarr/registries.toml",
        """
        [[registry]]
        prefix = "x.test"
        location = "one.test"
        [[registry]]
        prefix = "x.test/team/app"
        location = "two.test/moved"
        [[registry]]
        prefix = "*.wild.test"
        insecure = true
        """,
    )
    hosts = machine.load()
    assert places(hosts, "x.test/team/other") == ["one.test/team/other"]
    assert places(hosts, "x.test/team/app") == ["two.test/moved"]
    assert places(hosts, "x.test/team/app/sub") == ["two.test/moved/sub"]
    assert places(hosts, "x.test/team/apple") == ["one.test/team/apple"]
    (wild,) = hosts.endpoints(parse_reference("a.b.wild.test/y"))
    assert (wild.host, wild.repository, wild.plain) == ("a.b.wild.test", "y", FALLBACK)
    assert places(hosts, "notwild.test/y") == ["notwild.test/y"]


def test_what_is_blocked(machine: Machine) -> None:
    machine.write("etc/knarr/registries.toml", '[[registry]]\nprefix="bad.test/a"\nblocked=true')
    hosts = machine.load()
    with pytest.raises(PermissionDenied, match=r"registry bad\.test/a is blocked") as caught:
        hosts.endpoints(parse_reference("bad.test/a/b"))
    assert "registries.toml says so" in caught.value.hint
    assert places(hosts, "bad.test/b") == ["bad.test/b"]


def test_without_tls_at_all(machine: Machine) -> None:
    machine.write(
        "etc/knarr/registries.toml",
        """
        [[registry]]
        location = "x.test"
        plain-http = true
        [[registry]]
        prefix = "y.test"
        location = "http://z.test/sub"
        """,
    )
    hosts = machine.load()
    for name in ("x.test/a", "y.test/a"):
        (endpoint,) = hosts.endpoints(parse_reference(name))
        assert endpoint.plain == ALWAYS
    assert hosts.registry("x.test").plain == ALWAYS
    assert places(hosts, "y.test/a") == ["z.test/sub/a"]


def test_podmans_files_are_read_and_ours_have_the_last_word(machine: Machine) -> None:
    machine.write(
        "etc/containers/registries.conf",
        """
        unqualified-search-registries = ["search.test"]
        something-newer = true
        [[registry]]
        location = "x.test"
        insecure = true
        [[registry]]
        location = "y.test"
        blocked = true
        """,
    )
    machine.write("etc/containers/registries.conf.d/a.conf", '[aliases]\n"app" = "z.test/team/app"')
    machine.write("etc/containers/registries.conf.d/README", "not read")
    hosts = machine.load()
    assert hosts.registry("x.test").plain == FALLBACK
    with pytest.raises(PermissionDenied):
        hosts.endpoints(parse_reference("y.test/a"))
    # What short names mean is Docker's, unless asked for otherwise.
    assert hosts.expand("app:v1") == ["app:v1"]
    machine.write("etc/knarr/registries.toml", '[[registry]]\nlocation = "y.test"')
    assert places(machine.load(), "y.test/a") == ["y.test/a"]
    machine.write("home/.config/knarr/registries.toml", 'short-names = "podman"')
    hosts = machine.load()
    assert hosts.expand("app:v1") == ["z.test/team/app:v1"]
    assert hosts.expand("other:v1") == ["search.test/other:v1"]
    assert hosts.expand("h.test/app") == ["h.test/app"]
    machine.write("home/.config/knarr/registries.toml", "podman = false")
    assert machine.load().registry("x.test").plain == NEVER


def test_our_own_short_names_count(machine: Machine) -> None:
    machine.write(
        "home/.config/knarr/registries.toml",
        """
        unqualified-search-registries = ["one.test", "docker.io"]
        [aliases]
        "app" = "z.test/team/app"
        """,
    )
    hosts = machine.load()
    assert hosts.expand(f"app@{DIGEST}") == [f"z.test/team/app@{DIGEST}"]
    assert hosts.expand("debian:12") == ["one.test/debian:12", "docker.io/debian:12"]


def test_one_file_alone(machine: Machine, tmp_path: Path) -> None:
    machine.write("etc/knarr/registries.toml", '[[registry]]\nlocation = "x.test"\nblocked = true')
    machine.write("other.toml", "")
    hosts = machine.load(KNARR_REGISTRIES=str(tmp_path / "other.toml"))
    assert places(hosts, "x.test/a") == ["x.test/a"]
    with pytest.raises(InvalidArgument, match="no such file"):
        machine.load(KNARR_REGISTRIES=str(tmp_path / "none.toml"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("registry = 5", "registry must be a list of tables"),
        ("[[registry]]", "registry 1: neither prefix nor location"),
        ("[[registry]]\nlocation = 5", "location must be a string"),
        ('[[registry]]\nlocation = "x.test"\ninsecure = "yes"', "insecure must be true or false"),
        ('[[registry]]\nlocation = "x.test"\ninsecur = true', "unknown setting insecur"),
        ('[[registry]]\nlocation = "X Y"', "is not host"),
        ('[[registry]]\nlocation = "x.test"\n[[registry.mirror]]', "mirror 1: no location"),
        ('[[registry]]\nprefix = "*.x.test/y"', "stands for hosts alone"),
        ('short-names = "both"', "short-names must be one of docker, podman"),
        ("[aliases]\nx = 5", "aliases must be"),
        ("not toml", "registries.toml: "),
    ],
)
def test_a_slip_is_named(machine: Machine, text: str, reason: str) -> None:
    machine.write("etc/knarr/registries.toml", text)
    with pytest.raises(InvalidArgument, match=reason) as caught:
        machine.load()
    assert "/etc/knarr/registries.toml: " in str(caught.value)


def test_a_slip_gets_a_suggestion(machine: Machine) -> None:
    machine.write("etc/knarr/registries.toml", '[[registry]]\nlocation = "x"\ninsecur = true')
    with pytest.raises(InvalidArgument) as caught:
        machine.load()
    assert caught.value.hint == "Is insecure meant?"


def test_certificates_belong_to_a_host_and_port(machine: Machine, tmp_path: Path) -> None:
    for name in ("a.crt", "b.crt", "client.cert", "client.key", "notes.txt"):
        machine.write(f"etc/docker/certs.d/x.test:5000/{name}", "")
    hosts = machine.load()
    (endpoint,) = hosts.endpoints(parse_reference("x.test:5000/a"))
    place = tmp_path / "etc/docker/certs.d/x.test:5000"
    assert endpoint.security.authorities == (f"{place}/a.crt", f"{place}/b.crt")
    assert endpoint.security.identities == ((f"{place}/client.cert", f"{place}/client.key"),)
    (other,) = hosts.endpoints(parse_reference("x.test/a"))
    assert other.security.authorities == ()


def test_whom_a_command_trusts_once(machine: Machine) -> None:
    (endpoint,) = machine.load().endpoints(parse_reference("x.test/a"))
    assert endpoint.security.verify
    loose = endpoint.trusting()
    assert (loose.security.verify, loose.plain, loose.host) == (False, FALLBACK, "x.test")
