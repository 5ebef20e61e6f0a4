"""Statements beside the image of a build: provenance and a bill of materials."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import stat
import struct
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from support.dockerregistry import docker_registry
from support.workshop import Workshop

if TYPE_CHECKING:
    from pathlib import Path

    from support.engine import Knarr

pytestmark = pytest.mark.root

DPKG = """\
Package: libwords
Status: install ok installed
Architecture: amd64
Version: 1:2.3-4+b1
Description: words
 and more of them

Package: gone
Status: deinstall ok config-files
Version: 1

"""
APK = "C:Q1abc\nP:musl\nV:1.2.4-r2\nA:x86_64\nL:MIT\n\n"
WHEEL = "Metadata-Version: 2.1\nName: Some_Thing\nVersion: 0.9\nLicense-Expression: MIT\n\nwords"
MADE = "FROM busybox AS base\nCOPY root /\nFROM base\nARG WORD\nRUN echo $WORD > /file\nLABEL a=b"


@pytest.fixture
def shop(knarr: Knarr, tmp_path: Path) -> Workshop:
    shop = Workshop(knarr, tmp_path / "context")
    shop.write("root/etc/os-release", 'ID="debian"\nNAME=Debian\n')
    shop.write("root/var/lib/dpkg/status", DPKG)
    shop.write("root/lib/apk/db/installed", APK)
    shop.write("root/usr/lib/python3.11/site-packages/some.dist-info/METADATA", WHEEL)
    shop.write("root/var/lib/rpm/rpmdb.sqlite", rpm_database(tmp_path))
    shop.write("Dockerfile", MADE)
    return shop


def rpm_database(directory: Path) -> bytes:
    """Return a database with one package, as rpm writes them."""
    values, entries = b"", b""
    for tag, text in ((1000, "bash"), (1001, "5.2"), (1002, "1.fc40"), (1022, "x86_64")):
        entries += struct.pack(">IIiI", tag, 6, len(values), 1)
        values += text.encode() + b"\0"
    blob = struct.pack(">II", len(entries) // 16, len(values)) + entries + values
    path = directory / "rpmdb"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB NOT NULL)")
        connection.execute("INSERT INTO Packages VALUES (1, ?)", (blob,))
    connection.close()
    return path.read_bytes()


class Layout:
    """The layout that a build wrote."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (listed,) = json.loads((directory / "index.json").read_bytes())["manifests"]
        self.index = self.document(listed["digest"])

    def document(self, digest: str) -> Any:
        return json.loads((self.directory / "blobs" / digest.replace(":", "/")).read_bytes())

    def statements(self) -> dict[str, Any]:
        image, attested = self.index["manifests"]
        assert attested["platform"] == {"architecture": "unknown", "os": "unknown"}
        assert attested["annotations"] == {
            "vnd.docker.reference.digest": image["digest"],
            "vnd.docker.reference.type": "attestation-manifest",
        }
        found = {}
        for layer in self.document(attested["digest"])["layers"]:
            assert layer["mediaType"] == "application/vnd.in-toto+json"
            statement = self.document(layer["digest"])
            assert statement["predicateType"] == layer["annotations"]["in-toto.io/predicate-type"]
            algorithm, _, value = image["digest"].partition(":")
            assert statement["subject"][0]["digest"] == {algorithm: value}
            found[statement["predicateType"].split("/")[-2]] = statement
        return found


def attest(shop: Workshop, directory: Path, *words: str) -> dict[str, Any]:
    shop.build("", "-o", f"type=oci,tar=false,dest={directory}", *words, tag="made:1")
    return Layout(directory).statements()


def test_provenance_says_what_was_built_from_what(shop: Workshop, tmp_path: Path) -> None:
    words = ("--provenance", "true", "--build-arg", "WORD=hush")
    statement = attest(shop, tmp_path / "out", *words)["provenance"]
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert statement["subject"][0]["name"] == "pkg:docker/made@1?platform=linux%2Famd64"
    definition = statement["predicate"]["buildDefinition"]
    (base,) = definition["resolvedDependencies"]
    assert base["uri"] == "pkg:docker/busybox@latest?platform=linux%2Famd64"
    assert len(base["digest"]["sha256"]) == 64
    assert definition["externalParameters"]["configSource"]["path"] == "Dockerfile"
    metadata = statement["predicate"]["runDetails"]["metadata"]
    assert metadata["startedOn"] <= metadata["finishedOn"]
    assert "hush" not in json.dumps(statement), "min keeps build arguments to itself"


def test_provenance_in_full_has_arguments_and_never_secrets(shop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("quiet")
    words = ("--attest", "type=provenance,mode=max", "--build-arg", "WORD=hush", "--label", "c=d")
    secret = ("--secret", f"id=token,src={tmp_path}/token")
    statement = attest(shop, tmp_path / "out", *words, *secret)["provenance"]
    request = statement["predicate"]["buildDefinition"]["externalParameters"]["request"]
    assert request["args"] == {"build-arg:WORD": "hush", "label:c": "d"}
    assert request["secrets"] == [{"id": "token"}]
    assert statement["predicate"]["runDetails"]["metadata"]["knarr_source"] == MADE
    assert "quiet" not in json.dumps(statement)


def test_the_bill_of_materials_lists_packages_of_every_manager(
    shop: Workshop, tmp_path: Path
) -> None:
    statement = attest(shop, tmp_path / "out", "--sbom", "true")["spdx.dev"]
    document = statement["predicate"]
    assert document["spdxVersion"] == "SPDX-2.3"
    urls = [each["externalRefs"][0]["referenceLocator"] for each in document["packages"]]
    assert urls == [
        "pkg:apk/debian/musl@1.2.4-r2?arch=x86_64",
        "pkg:deb/debian/libwords@1%3A2.3-4%2Bb1?arch=amd64",
        "pkg:pypi/some-thing@0.9",
        "pkg:rpm/debian/bash@5.2-1.fc40?arch=x86_64",
    ]
    assert [each["licenseDeclared"] for each in document["packages"]][::2] == ["MIT", "MIT"]
    identifiers = {each["SPDXID"] for each in document["packages"]}
    assert identifiers == {each["relatedSpdxElement"] for each in document["relationships"]}


def test_links_in_an_image_do_not_lead_the_reader_out(shop: Workshop, tmp_path: Path) -> None:
    status = "/var/lib/dpkg/status"
    step = f"RUN rm {status} && ln -s {tmp_path}/status {status} && mkfifo {status}.d"
    shop.write("Dockerfile", f"{MADE}\n{step}")
    (tmp_path / "status").write_text(DPKG)
    statement = attest(shop, tmp_path / "out", "--sbom", "true")["spdx.dev"]
    names = [each["name"] for each in statement["predicate"]["packages"]]
    assert names == ["musl", "Some_Thing", "bash"]


def test_the_same_image_has_the_same_bill(shop: Workshop, tmp_path: Path) -> None:
    attest(shop, tmp_path / "one", "--sbom", "true")
    attest(shop, tmp_path / "two", "--sbom", "true")
    assert Layout(tmp_path / "one").index == Layout(tmp_path / "two").index


def test_syft_is_asked_when_it_is_wanted(
    shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = shop.try_build("--sbom", "generator=syft")
    assert refused.status == 1
    assert "the scanner syft is not installed" in refused.output
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "syft"
    program.write_text(
        '#!/bin/sh\ntest -e "${2#dir:}file" || exit 3\n'
        'echo "{\\"spdxVersion\\": \\"SPDX-2.3\\", \\"words\\": \\"$*\\"}"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    statement = attest(shop, tmp_path / "out", "--sbom", "generator=syft")["spdx.dev"]
    assert statement["predicate"]["words"].startswith("scan dir:/proc/")


def test_a_registry_gets_what_is_attested_and_the_image_can_be_pulled(
    shop: Workshop, second: Knarr, tmp_path: Path
) -> None:
    with docker_registry(tmp_path / "registry") as host:
        name = f"{host}/made:1"
        metadata = tmp_path / "metadata.json"
        words = ("--sbom=true", "--provenance=mode=max", "--metadata-file", str(metadata))
        shop.build("", *words, "--push", tag=name)
        about = json.loads(metadata.read_bytes())["containerimage.descriptor"]
        assert about["mediaType"] == "application/vnd.oci.image.index.v1+json"
        second("pull", "-q", name)
        assert second("run", "--rm", "--network", "none", name, "cat", "/etc/os-release")


def test_what_is_attested_is_kept_with_the_image(shop: Workshop) -> None:
    shop.build("", "--provenance", "true")
    assert shop.read("echo ran") == "ran"
    shop.knarr("rmi", "made")


ATTESTED = ("--sbom=true", "--provenance=true")
FILES = "FROM scratch\nCOPY root /\nCOPY root/etc /again\n"


def subjects(statement: Any) -> dict[str, str]:
    return {each["name"]: each["digest"]["sha256"] for each in statement["subject"]}


def test_statements_about_files_are_files_beside_them(shop: Workshop, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shop.build(FILES, *ATTESTED, "-o", str(out))
    assert sorted(os.listdir(out)) == [
        "again", "etc", "lib", "provenance.json", "sbom.spdx.json", "usr", "var",
    ]  # fmt: skip
    text = (out / "provenance.json").read_text()
    assert text.startswith('{\n  "')
    statement = json.loads(text)
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    bill = json.loads((out / "sbom.spdx.json").read_bytes())
    assert len(bill["predicate"]["packages"]) == 4
    files = {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in out.rglob("*")
        if path.is_file() and path.suffix != ".json"
    }
    assert subjects(statement) == subjects(bill) == files
    assert stat.S_IMODE((out / "provenance.json").stat().st_mode) == 0o600


def test_an_archive_of_files_has_the_same_statements(shop: Workshop, tmp_path: Path) -> None:
    shop.build(FILES, *ATTESTED, "-o", f"type=tar,dest={tmp_path}/tar,attestation-prefix=my-")
    shop.build("", *ATTESTED, "-o", str(tmp_path / "out"))
    with tarfile.open(tmp_path / "tar") as archive:
        for name in ("sbom.spdx.json", "provenance.json"):
            member = archive.extractfile(f"my-{name}")
            assert member is not None
            found = json.load(member)
            assert subjects(found) == subjects(json.loads((tmp_path / "out" / name).read_bytes()))


def test_statements_take_the_place_of_files_of_their_names_and_no_others(
    shop: Workshop, tmp_path: Path
) -> None:
    shop.write("root/provenance.json", "of the stage")
    shop.write("elsewhere", "untouched")
    out = tmp_path / "out"
    out.mkdir()
    (out / "provenance.json").symlink_to(shop.directory / "elsewhere")
    shop.build(FILES, "--provenance=true", "-o", str(out), "-o", f"type=tar,dest={tmp_path}/tar")
    assert "subject" in json.loads((out / "provenance.json").read_bytes())
    assert (shop.directory / "elsewhere").read_text() == "untouched"
    with tarfile.open(tmp_path / "tar") as archive:
        assert archive.getnames().count("provenance.json") == 1
    prefixed = f"type=local,dest={tmp_path}/kept,attestation-prefix=about-"
    shop.build("", "--provenance=true", "-o", prefixed)
    assert (tmp_path / "kept/provenance.json").read_text() == "of the stage"
    assert "subject" in json.loads((tmp_path / "kept/about-provenance.json").read_bytes())
    refused = shop.try_build("-o", "type=local,dest=x,attestation-prefix=../x")
    assert "invalid attestation-prefix" in refused.output


def test_each_platform_has_its_statements(shop: Workshop, tmp_path: Path) -> None:
    both = ("--platform", "linux/amd64,linux/arm64", "--provenance=true")
    shop.build(FILES, *both, "-o", str(tmp_path / "apart"))
    for platform in ("linux_amd64", "linux_arm64"):
        statement = json.loads((tmp_path / "apart" / platform / "provenance.json").read_bytes())
        assert "etc/os-release" in subjects(statement)
    shop.build("", *both, "-o", f"type=local,dest={tmp_path}/one,platform-split=false")
    assert {"provenance.linux_amd64.json", "provenance.linux_arm64.json"} < {
        *os.listdir(tmp_path / "one")
    }


def test_nothing_is_attested_unless_asked(shop: Workshop, tmp_path: Path) -> None:
    shop.build("", "-o", f"type=oci,tar=false,dest={tmp_path}/plain")
    assert "layers" in Layout(tmp_path / "plain").index
    shop.build("", "-o", f"type=oci,tar=false,dest={tmp_path}/off", "--sbom=true", "--sbom=false")
    assert "layers" in Layout(tmp_path / "off").index


def test_what_cannot_be_is_refused(shop: Workshop) -> None:
    def refused(*words: str) -> str:
        return shop.knarr.fails("build", *words, str(shop.directory))

    assert "unknown attestation type" in refused("--attest", "type=vex")
    assert "invalid provenance mode" in refused("--provenance", "mode=most")
    assert "unknown SBOM generator" in refused("--sbom", "generator=docker/scout-sbom-indexer")
    assert "there is no mode" in refused("--attest", "type=sbom,mode=max")
