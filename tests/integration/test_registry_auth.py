"""Credentials and tokens: who gets them, who does not, and when."""

from __future__ import annotations

import base64
import contextlib
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from knarr.errors import Corrupt, KnarrError, PermissionDenied, Unauthorized
from knarr.oci.descriptor import OCI_MANIFEST
from knarr.oci.digest import digest_of
from knarr.registry.credentials import Login
from knarr.registry.hosts import Hosts, Place, Rule
from knarr.registry.login import authenticate
from knarr.registry.search import search
from support.certificates import Authority
from support.mischief import redirect, refuse, say
from support.talking import Talk, download, layer, noise, opener
from support.testregistry import IDENTITY, PASSWORD, USER, TestRegistry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DATA = noise(50_000)
ERIK = Login(USER, PASSWORD)
SECRETS = (PASSWORD, IDENTITY, base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode())


def fill(registry: TestRegistry) -> TestRegistry:
    registry.add_blob("a/b", DATA)
    registry.add_manifest("a/b", "v1", b"{}", OCI_MANIFEST)
    return registry


@pytest.fixture
def registry() -> Iterator[TestRegistry]:
    """Lend a registry that wants tokens."""
    with TestRegistry(tokens=True) as lent:
        yield fill(lent)


def queries(registry: TestRegistry) -> list[dict[str, list[str]]]:
    """Return what each request for a token asked for."""
    return [parse_qs(urlsplit(s.path).query) for s in registry.seen("GET", "/token")]


def test_a_token_for_all_that_is_read(registry: TestRegistry) -> None:
    repository = Talk(login=ERIK)(f"{registry.host}/a/b")
    assert repository.manifest("v1").raw == b"{}"
    assert download(repository, layer(DATA)) == DATA
    assert list(repository.tags()) == ["v1"]
    (asked,) = queries(registry)
    assert asked["scope"] == ["repository:a/b:pull"]
    assert asked["service"] == ["test.registry"]
    assert asked["account"] == [USER]
    # Asked without once, to learn what is wanted; never with the password.
    given = [s.headers.get("Authorization", "") for s in registry.requests if "/v2/" in s.path]
    assert given[0] == ""
    assert all(field.startswith("Bearer ") for field in given[1:])


def test_nobody_gets_a_token_too(registry: TestRegistry) -> None:
    registry.public = True
    repository = Talk()(f"{registry.host}/a/b")
    assert download(repository, layer(DATA)) == DATA
    assert "Authorization" not in registry.seen("GET", "/token")[0].headers
    with pytest.raises(Unauthorized, match=r"push access denied for .*: unauthorized"):
        repository.upload_blob(layer(b"x"), opener(b"x"))


def test_what_is_not_allowed_is_asked_for_once(registry: TestRegistry) -> None:
    with pytest.raises(Unauthorized) as caught:
        Talk()(f"{registry.host}/a/b").manifest("v1")
    assert str(caught.value) == (
        f"pull access denied for {registry.host}/a/b, repository does not exist or may require"
        " 'knarr login': unauthorized: authentication required"
    )
    assert len(registry.seen("GET", "/token")) == 1
    assert len(registry.seen("GET", "/manifests/")) == 2


def test_pushing_and_mounting_take_more_rights(registry: TestRegistry) -> None:
    registry.add_blob("base/image", b"base")
    repository = Talk(login=ERIK)(f"{registry.host}/a/b")
    repository.upload_blob(layer(b"new"), opener(b"new"))
    assert repository.mount_blob(digest_of(b"base"), "base/image")
    repository.put_manifest("v2", b"{}", OCI_MANIFEST)
    repository.delete_manifest("v2")
    scopes = [set(asked["scope"]) for asked in queries(registry)]
    assert scopes == [
        {"repository:a/b:pull,push"},
        {"repository:a/b:pull,push", "repository:base/image:pull"},
        {"repository:a/b:pull,push", "repository:a/b:delete"},
    ]


def test_a_token_that_is_over_is_renewed_before(
    registry: TestRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk = Talk(login=ERIK)
    repository = talk(f"{registry.host}/a/b")
    now = [1000.0]
    monkeypatch.setattr("knarr.registry.auth.time", SimpleNamespace(monotonic=lambda: now[0]))
    repository.manifest("v1")
    now[0] += 290
    repository.manifest("v1")
    assert len(registry.seen("GET", "/token")) == 1
    now[0] += 10
    repository.manifest("v1")
    assert len(registry.seen("GET", "/token")) == 2
    assert len(registry.seen("GET", "/manifests/")) == 4


def test_a_token_that_was_revoked_is_replaced(registry: TestRegistry) -> None:
    repository = Talk(login=ERIK)(f"{registry.host}/a/b")
    repository.manifest("v1")
    repository.manifest("v1")
    assert registry.tokens is not None
    registry.tokens.clear()
    assert repository.manifest("v1").raw == b"{}"


def test_many_threads_share_a_token(registry: TestRegistry) -> None:
    repository = Talk(login=ERIK)(f"{registry.host}/a/b")
    found: list[bytes] = []

    def read() -> None:
        found.append(download(repository, layer(DATA)))

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [DATA] * 8
    assert len(registry.seen("GET", "/token")) == 1


def test_an_identity_token_instead_of_the_password(registry: TestRegistry) -> None:
    registry.gives_identity = True
    talk = Talk()
    kept = authenticate(talk.wire, talk.hosts, registry.host, ERIK)
    assert kept == Login(USER, "", IDENTITY)
    registry.requests.clear()
    repository = Talk(login=kept)(f"{registry.host}/a/b")
    assert repository.manifest("v1").raw == b"{}"
    (asked,) = registry.seen("POST", "/token")
    assert parse_qs(asked.body.decode()) == {
        "service": ["test.registry"],
        "client_id": ["knarr"],
        "grant_type": ["refresh_token"],
        "refresh_token": [IDENTITY],
        "scope": ["repository:a/b:pull"],
    }
    assert IDENTITY not in asked.path
    assert authenticate(talk.wire, talk.hosts, registry.host, kept) == kept


@pytest.mark.parametrize("kind", ["basic", "tokens"])
def test_wrong_credentials(kind: str) -> None:
    with TestRegistry(**{kind: True}) as registry:  # type: ignore[arg-type]
        talk = Talk()
        for login in (Login(USER, "wrong"), Login("", "", "wrong")):
            with pytest.raises(Unauthorized, match="incorrect username or password"):
                authenticate(talk.wire, talk.hosts, registry.host, login)


def test_basic_credentials_with_every_request() -> None:
    with TestRegistry(basic=True) as registry:
        fill(registry)
        repository = Talk(login=ERIK)(f"{registry.host}/a/b")
        repository.manifest("v1")
        assert download(repository, layer(DATA)) == DATA
        given = [s.headers.get("Authorization", "") for s in registry.requests]
        assert [field[:6] for field in given] == ["", "Basic ", "Basic "]
        with pytest.raises(Unauthorized):
            Talk()(f"{registry.host}/a/b").manifest("v1")


def test_a_list_of_repositories_takes_a_right_of_its_own(registry: TestRegistry) -> None:
    class Known:
        def find(self, *_: str) -> Login:
            return ERIK

    talk = Talk()
    (found,) = search(talk.wire, talk.hosts, Known(), f"{registry.host}/a")  # type: ignore[arg-type]
    assert found.name == f"{registry.host}/a/b"
    assert queries(registry)[-1]["scope"] == ["registry:catalog:*"]


# who gets nothing


@pytest.mark.parametrize("kind", ["basic", "tokens"])
def test_storage_gets_no_credentials(kind: str) -> None:
    with TestRegistry(**{kind: True}) as registry, TestRegistry() as storage:  # type: ignore[arg-type]
        fill(registry)
        storage.add_blob("a/b", DATA)
        repository = Talk(login=ERIK)(f"{registry.host}/a/b")
        repository.manifest("v1")
        registry.on("GET", "/blobs/", redirect(storage.url + "{path}"), times=9)
        assert download(repository, layer(DATA)) == DATA
        # Not even if it asks for them, which must not be taken for the registry's question.
        storage.on(
            "GET", "/blobs/", refuse(401, "UNAUTHORIZED", "", WWW_Authenticate='Basic realm="y"')
        )
        with pytest.raises(Unauthorized):
            download(repository, layer(DATA))
        repository.manifest("v1")
        assert storage.requests
        assert not [s for s in storage.requests if "Authorization" in s.headers]


def test_an_upload_on_another_host_gets_no_credentials(registry: TestRegistry) -> None:
    with TestRegistry() as storage:
        storage.uploads["abc"] = bytearray()
        registry.location_form = storage.url + "/v2/a/b/blobs/uploads/abc"
        Talk(login=ERIK)(f"{registry.host}/a/b").upload_blob(layer(b"x"), opener(b"x"))
        assert storage.blobs
        assert not [s for s in storage.requests if "Authorization" in s.headers]


@pytest.mark.parametrize(
    "form",
    [
        "http://{ours}@{other}{path}",
        "http://{other}\\@{ours}{path}",
        "http://{other}#@{ours}{path}",
        "http://{other}?@{ours}{path}",
        "http://{other}/@{ours}{path}",
        "//{other}\\@{ours}{path}",
        "http://u:p@{other}{path}",
        "HTTP://{other}{path}",
        "http:\\\\{other}{path}",
    ],
)
@pytest.mark.parametrize("through", ["redirect", "upload"])
def test_who_reads_addresses_differently_gets_nothing(
    registry: TestRegistry, form: str, through: str
) -> None:
    """Whoever is connected to: credentials go to the registry alone."""
    with TestRegistry() as other:
        other.add_blob("a/b", DATA)
        repository = Talk(login=ERIK, attempts=2)(f"{registry.host}/a/b")
        repository.manifest("v1")
        where = form.replace("{ours}", registry.host).replace("{other}", other.host)
        if through == "redirect":
            registry.on("GET", "/blobs/", redirect(where), times=9)
            with contextlib.suppress(KnarrError):
                download(repository, layer(DATA))
        else:
            registry.location_form = where.replace("{path}", "/v2/a/b/blobs/uploads/abc")
            with contextlib.suppress(KnarrError):
                repository.upload_blob(layer(b"x"), opener(b"x"))
        assert not [s for s in other.requests if "Authorization" in s.headers]


def test_no_password_without_tls_to_a_realm(tmp_path: Path) -> None:
    """A registry with TLS must not have our password sent in the clear."""
    authority = Authority(tmp_path)
    with TestRegistry(authority=authority, tokens=True) as registry, TestRegistry() as listener:
        registry.realm = f"{listener.url}/token"
        with pytest.raises(Unauthorized, match="without TLS"):
            Talk(login=ERIK)(f"{registry.host}/a/b").manifest("v1")
        assert listener.requests == []


def test_no_way_down_from_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with TestRegistry(authority=authority) as registry, TestRegistry() as plain:
        fill(registry), fill(plain)
        talk = Talk()
        repository = talk(f"{registry.host}/a/b")
        # Addresses of this machine are insecure by default; as if this one were not:
        endpoint = repository._home.endpoint.replace(plain="never")
        repository._home.endpoint = endpoint
        repository._home._plain = False
        registry.on("GET", "/blobs/", redirect(plain.url + "{path}"))
        with pytest.raises(PermissionDenied, match="without TLS"):
            download(repository, layer(DATA))
        assert plain.requests == []


def test_a_realm_that_sends_on_gets_no_second_host_our_password(registry: TestRegistry) -> None:
    with TestRegistry() as other:
        registry.on("GET", "/token", redirect(other.url + "{path}"))
        with pytest.raises(KnarrError):
            Talk(login=ERIK)(f"{registry.host}/a/b").manifest("v1")
        assert not [s for s in other.requests if "Authorization" in s.headers]


def test_a_token_without_end_and_other_nonsense(registry: TestRegistry) -> None:
    for body in (b'{"token": "' + b"x" * (2 << 20) + b'"}', b"<html>", b'{"token": 5}', b"{}",
                 b'{"token": "a\\nb: c"}'):  # fmt: skip
        registry.on("GET", "/token", say(body))
        with pytest.raises(Corrupt):
            Talk(login=ERIK)(f"{registry.host}/a/b").manifest("v1")
    registry.realm = "file:///etc/shadow"
    with pytest.raises(Corrupt, match="not a URL"):
        Talk(login=ERIK)(f"{registry.host}/a/b").manifest("v1")


def test_no_secret_in_any_message(registry: TestRegistry) -> None:
    talk = Talk(login=ERIK, attempts=2)
    shown = [repr(ERIK), str(ERIK), repr(Login("", "", IDENTITY))]
    for act in (refuse(500), refuse(403, "DENIED", "no"), say(b"<html>"), refuse(401)):
        registry.on("GET", "/token", act, times=2)
        with pytest.raises(Exception) as caught:  # noqa: PT011 - any
            talk(f"{registry.host}/a/b").manifest("v1")
        error: BaseException | None = caught.value
        while error is not None:
            shown += [repr(error), getattr(error, "hint", "")]
            error = error.__cause__ or error.__context__
    assert not [text for text in shown for secret in SECRETS if secret in text]


def test_a_mirror_gets_its_own_credentials_alone(registry: TestRegistry) -> None:
    with TestRegistry(basic=True) as mirror:
        fill(mirror)
        hosts = Hosts(
            (Rule(registry.host, Place(registry.host), (Place(mirror.host),)),),
        )
        from knarr.oci.reference import parse_reference
        from knarr.registry.client import connect

        class Known:
            def find(self, host: str, _: str = "") -> Login | None:
                return ERIK if host == registry.host else None

        repository = connect(
            parse_reference(f"{registry.host}/a/b"),
            hosts,
            Known(),  # type: ignore[arg-type]
        )
        assert repository.manifest("v1").raw == b"{}"
        assert mirror.seen("GET", "/manifests/")
        assert not [s for s in mirror.requests if "Authorization" in s.headers]
