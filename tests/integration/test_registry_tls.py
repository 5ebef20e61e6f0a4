"""TLS as `certs.d` and `registries.toml` have it, and proxies as the environment has them."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from knarr.errors import InvalidArgument, PermissionDenied, Unavailable, Unsupported
from knarr.oci.descriptor import OCI_MANIFEST
from knarr.registry import hostfiles
from support.certificates import Authority
from support.mischief import redirect
from support.proxy import Proxy
from support.talking import Talk, download, layer, noise
from support.testregistry import TestRegistry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from knarr.registry.hosts import Hosts

DATA = noise(300_000)


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have `registry.test` mean this machine, as a line of /etc/hosts would."""
    real = socket.getaddrinfo

    def resolve(host: str, *words: object, **more: object) -> object:
        host = "127.0.0.1" if host == "registry.test" else host
        return real(host, *words, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def registry(authority: Authority) -> Iterator[TestRegistry]:
    with TestRegistry(authority=authority) as lent:
        lent.add_blob("a/b", DATA)
        lent.add_manifest("a/b", "v1", b"{}", OCI_MANIFEST)
        lent.host = f"registry.test:{lent.port}"
        yield lent


def settings(tmp_path: Path, text: str = "") -> Hosts:
    """Return the settings in a /etc of the test's own."""
    place = tmp_path / "etc/knarr"
    place.mkdir(parents=True, exist_ok=True)
    (place / "registries.toml").write_text(text)
    return hostfiles.load({"HOME": str(tmp_path)}, etc=str(tmp_path / "etc"))


def trust(tmp_path: Path, host: str, authority: Authority, vendor: str = "knarr") -> Path:
    """Make the directory of certificates for `host`."""
    place = tmp_path / f"etc/{vendor}/certs.d/{host}"
    place.mkdir(parents=True)
    (place / "ca.crt").symlink_to(authority.certificate)
    return place


def test_an_unknown_authority(registry: TestRegistry, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="x509: certificate signed by unknown authority") as error:
        Talk(settings(tmp_path))(f"{registry.host}/a/b").manifest("v1")
    assert f"/etc/knarr/certs.d/{registry.host}/ca.crt" in error.value.hint
    assert "insecure = true" in error.value.hint


@pytest.mark.parametrize("vendor", ["docker", "containers", "knarr"])
def test_an_authority_for_this_host(
    registry: TestRegistry, authority: Authority, tmp_path: Path, vendor: str
) -> None:
    trust(tmp_path, registry.host, authority, vendor)
    talk = Talk(settings(tmp_path))
    assert talk(f"{registry.host}/a/b").manifest("v1").raw == b"{}"
    assert download(talk(f"{registry.host}/a/b"), layer(DATA)) == DATA


def test_a_certificate_for_another_name(
    registry: TestRegistry, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *w, **m: real(host.replace("other", "registry"), *w, **m),
    )
    trust(tmp_path, f"other.test:{registry.port}", authority)
    with pytest.raises(Unavailable, match=r"x509: hostname mismatch.*'other\.test'"):
        Talk(settings(tmp_path))(f"other.test:{registry.port}/a/b").manifest("v1")


def test_insecure_trusts_anybody(registry: TestRegistry, tmp_path: Path) -> None:
    hosts = settings(tmp_path, f'[[registry]]\nlocation = "{registry.host}"\ninsecure = true\n')
    assert Talk(hosts)(f"{registry.host}/a/b").manifest("v1").raw == b"{}"


def test_this_machine_is_trusted(registry: TestRegistry, tmp_path: Path) -> None:
    for name in ("127.0.0.1", "localhost"):
        repository = Talk(settings(tmp_path))(f"{name}:{registry.port}/a/b")
        assert repository.manifest("v1").raw == b"{}"


def test_a_plain_registry_takes_a_setting(tmp_path: Path) -> None:
    with TestRegistry() as registry:
        registry.add_manifest("a/b", "v1", b"{}", OCI_MANIFEST)
        host = f"registry.test:{registry.port}"
        with pytest.raises(Unavailable, match="server gave HTTP response to HTTPS") as error:
            Talk(settings(tmp_path))(f"{host}/a/b").manifest("v1")
        assert f"insecure = true for {host}" in error.value.hint
        assert registry.requests == []
        for word in ("insecure", "plain-http"):
            hosts = settings(tmp_path, f'[[registry]]\nlocation = "{host}"\n{word} = true\n')
            assert Talk(hosts)(f"{host}/a/b").manifest("v1").raw == b"{}"


def test_a_client_shows_its_certificate(authority: Authority, tmp_path: Path) -> None:
    with TestRegistry(authority=authority, client_certificates=True) as registry:
        registry.add_manifest("a/b", "v1", b"{}", OCI_MANIFEST)
        host = f"registry.test:{registry.port}"
        place = trust(tmp_path, host, authority, "docker")
        with pytest.raises(Unavailable):
            Talk(settings(tmp_path), attempts=2)(f"{host}/a/b").manifest("v1")
        (place / "client.cert").symlink_to(authority.client_certificate)
        with pytest.raises(InvalidArgument, match=r"missing key client.key for client certificate"):
            Talk(settings(tmp_path))(f"{host}/a/b")
        (place / "client.key").write_text("not a key")
        with pytest.raises(Unavailable, match="cannot use the certificate"):
            Talk(settings(tmp_path))(f"{host}/a/b").manifest("v1")
        (place / "client.key").unlink()
        (place / "client.key").symlink_to(authority.client_key)
        assert Talk(settings(tmp_path))(f"{host}/a/b").manifest("v1").raw == b"{}"


def test_no_way_down_by_redirect(
    registry: TestRegistry, authority: Authority, tmp_path: Path
) -> None:
    trust(tmp_path, registry.host, authority)
    with TestRegistry() as plain:
        registry.on("GET", "/blobs/", redirect(plain.url + "{path}"))
        with pytest.raises(PermissionDenied, match="which is without TLS"):
            download(Talk(settings(tmp_path))(f"{registry.host}/a/b"), layer(DATA))
        assert plain.requests == []


# proxies


def test_tls_through_a_proxy(
    registry: TestRegistry, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # only the proxy knows where registry.test is
    trust(tmp_path, registry.host, authority)
    with Proxy() as proxy:
        environ = {"HTTPS_PROXY": f"http://user:s3cr3t%40@{proxy.host}"}
        talk = Talk(settings(tmp_path), environ=environ)
        assert talk(f"{registry.host}/a/b").manifest("v1").raw == b"{}"
        assert download(talk(f"{registry.host}/a/b"), layer(DATA)) == DATA
        assert set(proxy.requests) == {f"CONNECT {registry.host}"}
        assert set(proxy.credentials) == {"Basic dXNlcjpzM2NyM3RA"}
    assert not [s for s in registry.requests if "Proxy-Authorization" in s.headers]
    with pytest.raises(Unavailable, match=r"the proxy for .* cannot be used") as error:
        Talk(settings(tmp_path), environ=environ, attempts=2)(f"{registry.host}/a/b").manifest("v1")
    assert "s3cr3t" not in repr(error.value)


def test_plain_http_through_a_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with TestRegistry() as registry, Proxy() as proxy:
        registry.add_manifest("a/b", "v1", b"{}", OCI_MANIFEST)
        host = f"registry.test:{registry.port}"
        hosts = settings(tmp_path, f'[[registry]]\nlocation = "{host}"\nplain-http = true\n')
        talk = Talk(hosts, environ={"http_proxy": proxy.host})
        assert talk(f"{host}/a/b").manifest("v1").raw == b"{}"
        assert proxy.requests == [f"GET http://{host}/v2/a/b/manifests/v1"]


def test_a_proxy_that_refuses(registry: TestRegistry, tmp_path: Path) -> None:
    with Proxy(refusing=True) as proxy:
        environ = {"HTTPS_PROXY": f"http://{proxy.host}"}
        talk = Talk(settings(tmp_path), environ=environ, attempts=2)
        with pytest.raises(Unavailable, match=r"the proxy for .* cannot be used: 403 no way out"):
            talk(f"{registry.host}/a/b").manifest("v1")


def test_a_proxy_that_speaks_tls_itself(
    registry: TestRegistry, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust(tmp_path, registry.host, authority)
    monkeypatch.setenv("SSL_CERT_FILE", authority.certificate)  # as if it were one of the system's
    with Proxy(authority=authority) as proxy:
        talk = Talk(settings(tmp_path), environ={"HTTPS_PROXY": f"https://{proxy.host}"})
        assert download(talk(f"{registry.host}/a/b"), layer(DATA)) == DATA
        assert proxy.requests == [f"CONNECT {registry.host}"]


def test_no_proxy(registry: TestRegistry, authority: Authority, tmp_path: Path) -> None:
    trust(tmp_path, registry.host, authority)
    environ = {"HTTPS_PROXY": "http://127.0.0.1:1", "NO_PROXY": "x.example, registry.test"}
    talk = Talk(settings(tmp_path), environ=environ)
    assert talk(f"{registry.host}/a/b").manifest("v1").raw == b"{}"


def test_a_kind_of_proxy_that_is_not_known(tmp_path: Path) -> None:
    talk = Talk(settings(tmp_path), environ={"HTTPS_PROXY": "socks5://127.0.0.1:1"})
    with pytest.raises(Unsupported, match="socks5"):
        talk("registry.test/a/b").manifest("v1")
