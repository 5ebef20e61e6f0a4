"""The client and Debian's docker-registry: plain, with TLS, with a password."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from knarr.errors import NotFound, Unauthorized, Unavailable
from knarr.oci.descriptor import OCI_CONFIG, OCI_MANIFEST, Descriptor
from knarr.oci.digest import digest_of
from knarr.oci.manifest import encode_manifest
from knarr.registry import hostfiles
from knarr.registry.credentials import Login
from knarr.registry.login import authenticate
from knarr.registry.search import search
from support.badline import BadLine
from support.certificates import Authority
from support.dockerregistry import PASSWORD, USER, docker_registry
from support.talking import Talk, download, layer, noise, opener

if TYPE_CHECKING:
    from pathlib import Path

    from knarr.registry.client import Repository


def there_and_back(repository: Repository) -> None:
    """Push an image, and find it again by every way of asking."""
    data, config = noise(3_000_000), b"{}"
    for blob in (data, config):
        repository.upload_blob(layer(blob), opener(blob))
    named = Descriptor(OCI_CONFIG, digest_of(config), len(config))
    manifest = encode_manifest(named, [layer(data)])
    digest = repository.put_manifest("v1", manifest.raw, manifest.media_type)
    assert digest == manifest.digest
    head = repository.head("v1")
    assert head is not None
    assert (head.digest, head.size) == (digest, manifest.size)
    assert repository.manifest(digest).raw == manifest.raw
    assert download(repository, layer(data)) == data
    with repository.blob(layer(data), 2_999_990) as reader:
        assert reader.read() == data[-10:]
    assert list(repository.tags()) == ["v1"]
    assert repository.referrers(digest) == ()


def test_there_and_back(tmp_path: Path) -> None:
    with docker_registry(tmp_path) as host:
        there_and_back(Talk()(f"{host}/a/b"))


def test_mount_delete_and_search(tmp_path: Path) -> None:
    data = noise(100_000)
    with docker_registry(tmp_path) as host:
        talk = Talk()
        repository = talk(f"{host}/base/image")
        there_and_back(repository)
        repository.upload_blob(layer(data), opener(data))
        other = talk(f"{host}/a/b")
        assert other.mount_blob(layer(data).digest, "base/image")
        assert other.has_blob(layer(data).digest)
        assert [f.name for f in search(talk.wire, talk.hosts, None, f"{host}/base")] == [
            f"{host}/base/image"
        ]
        found = repository.head("v1")
        assert found is not None
        repository.delete_manifest(found.digest)
        assert repository.head("v1") is None


def test_a_bad_line(tmp_path: Path) -> None:
    """Up and down again, though the connection breaks three times each way."""
    data = noise(20_000_000)
    with docker_registry(tmp_path) as host, BadLine(host) as line:
        # Three times in vain by our doing, and perhaps once more by that of a busy registry.
        repository = Talk(attempts=8)(f"{line.host}/a/b")
        assert repository.head("v1") is None  # what is asked of a stranger is asked once
        told: list[int] = []
        line.cuts = [3_000_000, 7_000_000, 100_000]
        repository.upload_blob(layer(data), opener(data), told.append)
        assert line.cuts == []
        assert told[-1] == len(data)
        line.cuts = [1_000_000, 50_000, 9_000_000]
        assert download(repository, layer(data), piece=100_000) == data
        assert line.cuts == []


def test_a_subject_is_listed_under_its_tag(tmp_path: Path) -> None:
    """This registry knows no referrers: clients keep the list."""
    with docker_registry(tmp_path) as host:
        repository = Talk()(f"{host}/a/b")
        there_and_back(repository)
        subject = repository.head("v1")
        assert subject is not None
        raw = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "artifactType": "x/signature",
                "config": {"mediaType": OCI_CONFIG, "digest": digest_of(b"{}"), "size": 2},
                "layers": [],
                "subject": {
                    "mediaType": subject.media_type,
                    "digest": subject.digest,
                    "size": subject.size,
                },
            }
        ).encode()
        digest = repository.put_manifest(digest_of(raw), raw, OCI_MANIFEST)
        (found,) = repository.referrers(subject.digest)
        assert (found.digest, found.artifact_type) == (digest, "x/signature")


def test_tls_and_a_password(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls")
    with docker_registry(tmp_path / "registry", authority=authority, password=True) as host:
        # A name, since addresses of this machine are trusted without a certificate.
        port = host.partition(":")[2]
        host = f"registry.test:{port}"
        certs = tmp_path / "etc/knarr/certs.d" / host
        talk = Talk(hostfiles.load({"HOME": str(tmp_path)}, etc=str(tmp_path / "etc")), attempts=2)
        with pytest.MonkeyPatch.context() as patch:
            resolve_to_loopback(patch)
            with pytest.raises(Unavailable, match="x509: certificate signed by unknown") as caught:
                talk(f"{host}/a/b").head("v1")
            assert f"/etc/knarr/certs.d/{host}/ca.crt" in caught.value.hint
            certs.mkdir(parents=True)
            (certs / "ca.crt").symlink_to(authority.certificate)
            with pytest.raises(Unauthorized, match=r"pull access denied for .*'knarr login'"):
                talk(f"{host}/a/b").manifest("v1")
            for login in (Login(USER, "wrong"), Login("other", PASSWORD)):
                with pytest.raises(Unauthorized, match="incorrect username or password"):
                    authenticate(talk.wire, talk.hosts, host, login)
            talk.login = Login(USER, PASSWORD)
            assert authenticate(talk.wire, talk.hosts, host, talk.login) == talk.login
            there_and_back(talk(f"{host}/a/b"))
            with pytest.raises(NotFound):
                talk(f"{host}/a/b").manifest("v2")


def resolve_to_loopback(patch: pytest.MonkeyPatch) -> None:
    """Have names below .test mean this machine, as a line of /etc/hosts would."""
    import socket

    real = socket.getaddrinfo

    def resolve(host: str, *words: object, **more: object) -> object:
        name = "127.0.0.1" if isinstance(host, str) and host.endswith(".test") else host
        return real(name, *words, **more)  # type: ignore[arg-type]

    patch.setattr(socket, "getaddrinfo", resolve)
