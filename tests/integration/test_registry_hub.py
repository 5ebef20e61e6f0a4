"""Docker Hub as it looks from here: other names than in references, tokens from a third host.

Its names lead to a registry of our own by way of a proxy, which is all that knows them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from knarr.errors import Unauthorized
from knarr.oci.descriptor import OCI_MANIFEST
from knarr.oci.reference import parse_reference
from knarr.registry import hostfiles
from knarr.registry.client import connect
from knarr.registry.credentials import Keychain
from knarr.registry.wire import Wire
from support.certificates import Authority
from support.proxy import Proxy
from support.talking import download, layer, noise
from support.testregistry import PASSWORD, USER, TestRegistry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from knarr.registry.client import Repository

KNARR = os.path.join(os.path.dirname(sys.executable), "knarr")
DATA = noise(100_000)
DEBIAN = "library/debian"


class Hub:
    """The Hub, its host for tokens, and a user who trusts both."""

    def __init__(self, home: Path, registry: TestRegistry, tokens: TestRegistry) -> None:
        self.home = home
        self.registry = registry
        self.tokens = tokens
        self.environ: dict[str, str] = {}

    def trust(self, authority: Authority, *hosts: str) -> None:
        for host in hosts:
            place = self.home / f".config/knarr/certs.d/{host}"
            place.mkdir(parents=True)
            (place / "ca.crt").symlink_to(authority.certificate)

    def repository(self, name: str) -> Repository:
        hosts = hostfiles.load(self.environ, etc=str(self.home / "etc"))
        keychain = Keychain(self.environ)
        return connect(parse_reference(name), hosts, keychain, wire=Wire(self.environ))

    def knarr(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [KNARR, *words], env=self.environ, input=stdin, capture_output=True, text=True,
            check=False, timeout=60,
        )  # fmt: skip

    @property
    def scopes(self) -> list[str]:
        """Return the scopes that tokens were asked for, in order."""
        asked = self.tokens.seen("GET", "/token")
        return [s for seen in asked for s in parse_qs(urlsplit(seen.path).query).get("scope", [])]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    authority = Authority(tmp_path / "tls")
    with (
        TestRegistry(authority=authority, tokens=True) as registry,
        TestRegistry(authority=authority, tokens=True) as tokens,
    ):
        registry.realm = f"https://auth.test:{tokens.port}/token"
        registry.tokens = tokens.tokens
        tokens.public = True
        registry.add_blob(DEBIAN, DATA)
        registry.add_manifest(DEBIAN, "latest", b"{}", OCI_MANIFEST)
        leads = dict.fromkeys(("registry-1.docker.io:443", "index.docker.io:443"), registry.port)
        with Proxy(leads) as proxy:
            made = Hub(tmp_path, registry, tokens)
            made.trust(authority, "registry-1.docker.io", "index.docker.io")
            made.trust(authority, f"auth.test:{tokens.port}")
            made.environ = {
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "HTTPS_PROXY": f"http://{proxy.host}",
                "KNARR_ROOT": str(tmp_path / "root"),
                "KNARR_RUN": str(tmp_path / "run"),
            }
            yield made


def test_a_short_name_is_the_hubs(hub: Hub) -> None:
    for name in ("debian", "docker.io/debian", "index.docker.io/library/debian"):
        assert hub.repository(name).manifest("latest").raw == b"{}"
    assert download(hub.repository("debian"), layer(DATA)) == DATA
    assert {s.headers["Host"] for s in hub.registry.requests} == {"registry-1.docker.io"}
    assert set(hub.scopes) == {f"repository:{DEBIAN}:pull"}


def test_what_it_says_of_a_repository_that_is_not_there(hub: Hub) -> None:
    hub.tokens.public = False
    with pytest.raises(Unauthorized) as caught:
        hub.repository("no/such").manifest("latest")
    assert str(caught.value) == (
        "pull access denied for no/such, repository does not exist or may require 'knarr login':"
        " unauthorized: authentication required"
    )


def test_login_is_kept_under_the_name_that_docker_uses(hub: Hub) -> None:
    hub.tokens.public = False
    done = hub.knarr("login", "-u", USER, "--password-stdin", stdin=PASSWORD)
    assert (done.returncode, done.stdout) == (0, "Login Succeeded\n"), done.stderr
    kept = json.loads((hub.home / ".docker/config.json").read_text())
    assert list(kept["auths"]) == ["https://index.docker.io/v1/"]
    assert hub.repository("debian").manifest("latest").raw == b"{}"
    # The password went to the host for tokens and to no other.
    assert hub.tokens.seen("GET", "/token")
    assert not [
        s for s in hub.registry.requests
        if s.headers.get("Authorization", "Bearer").startswith("Basic")
    ]  # fmt: skip
    out = hub.knarr("logout")
    assert out.stdout == "Removing login credentials for https://index.docker.io/v1/\n"
    with pytest.raises(Unauthorized):
        hub.repository("debian").manifest("latest")


def test_a_wrong_password(hub: Hub) -> None:
    done = hub.knarr("login", "-u", USER, "--password-stdin", stdin="wrong")
    assert done.returncode == 1
    assert "incorrect username or password" in done.stderr


def test_search(hub: Hub) -> None:
    hub.registry.results = [
        {"name": "debian", "description": "Debian", "star_count": 5000, "is_official": True},
        {"name": "someone/debian", "star_count": 1},
    ]
    done = hub.knarr("search", "library/debian", "-f", "is-official=true", "--format", "json")
    assert done.stderr == ""
    assert json.loads(done.stdout) == {
        "Description": "Debian", "IsAutomated": "", "IsOfficial": "[OK]", "Name": "debian",
        "StarCount": "5000",
    }  # fmt: skip
    seen = hub.registry.seen("GET", "/v1/search")[-1]
    assert seen.headers["Host"] == "index.docker.io"
    assert parse_qs(urlsplit(seen.path).query) == {"q": ["debian"], "n": ["25"]}
