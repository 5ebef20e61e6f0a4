"""The bill of materials of an image: an SPDX document of the packages that are in it.

Read by us (see `packages`), or by syft if that is asked for and installed. Ours says no more than
the package managers do, takes no time worth mentioning, and is the same for the same files.

Spec: SPDX 2.3, JSON; package-url
"""

from __future__ import annotations

import os

from knarr.engine.build.attesting.statements import OWN
from knarr.errors import Corrupt, Failed, NotFound
from knarr.oci.digest import digest_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.build.graph import Stack
    from knarr.engine.build.attesting.packages import Package
    from knarr.engine.engine import Engine

TYPE = "https://spdx.dev/Document"
_NONE = "NOASSERTION"
_LICENSES = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-+() "
_EPOCH = "1970-01-01T00:00:00Z"


def describe(engine: Engine, stack: Stack, scanner: str, name: str) -> dict[str, Any]:
    """Return the predicate: the document about the files of `stack`.

    Raises: NotFound, Failed, Corrupt
    """
    root_fd = engine.layers.mount(stack, readonly=True)
    try:
        if scanner != OWN:
            return _scan(root_fd, scanner)
        from knarr.engine.build.attesting.packages import find_packages  # noqa: PLC0415

        return render_spdx(name, str(stack[-1]) if stack else "", find_packages(root_fd))
    finally:
        os.close(root_fd)


def render_spdx(name: str, contents: str, packages: list[Package]) -> dict[str, Any]:
    """Return an SPDX document. The same packages of the same `contents` give the same one."""
    listed = [_package(each) for each in packages]
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        "documentNamespace": f"urn:knarr:sbom:{contents or 'empty'}",
        # No time of the scan: it would make two images of equal files differ.
        "creationInfo": {"created": _EPOCH, "creators": ["Tool: knarr"]},
        "packages": listed,
        "relationships": [
            {
                "spdxElementId": "SPDXRef-DOCUMENT",
                "relationshipType": "DESCRIBES",
                "relatedSpdxElement": each["SPDXID"],
            }
            for each in listed
        ],
    }


def _package(package: Package) -> dict[str, Any]:
    url = _package_url(package)
    licensed = package.license if package.license and not package.license.strip(_LICENSES) else ""
    return {
        "SPDXID": f"SPDXRef-Package-{digest_of(url.encode()).hex[:16]}",
        "name": package.name,
        "versionInfo": package.version,
        "downloadLocation": _NONE,
        "filesAnalyzed": False,
        "licenseDeclared": licensed or _NONE,
        "licenseConcluded": _NONE,
        "copyrightText": _NONE,
        "supplier": _NONE,
        "externalRefs": [
            {
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": url,
            }
        ],
    }


def _package_url(package: Package) -> str:
    from urllib.parse import quote  # noqa: PLC0415 - for who asks for an SBOM

    namespace = f"{quote(package.supplier, safe='')}/" if package.supplier else ""
    name = package.name.lower().replace("_", "-") if package.type == "pypi" else package.name
    arch = f"?arch={quote(package.architecture, safe='')}" if package.architecture else ""
    version = quote(package.version, safe="")
    return f"pkg:{package.type}/{namespace}{quote(name, safe='')}@{version}{arch}"


def _scan(root_fd: int, scanner: str) -> dict[str, Any]:
    """Let a program look at the files. It sees them below one of our descriptors."""
    import json  # noqa: PLC0415 - for who asks for an SBOM
    import subprocess  # noqa: PLC0415 - as above

    where = f"/proc/{os.getpid()}/fd/{root_fd}"
    try:
        done = subprocess.run(
            [scanner, "scan", f"dir:{where}/", "-q", "-o", "spdx-json"],
            capture_output=True, check=False,
        )  # fmt: skip
    except FileNotFoundError as error:
        message = f"the scanner {scanner} is not installed"
        raise NotFound(message, hint="--sbom=true does without.") from error
    if done.returncode:
        words = done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        message = f"{scanner} failed with {done.returncode}: {words}"
        raise Failed(message)
    try:
        found = json.loads(done.stdout)
    except ValueError as error:
        message = f"{scanner} wrote no JSON: {error}"
        raise Corrupt(message) from error
    if not isinstance(found, dict) or "spdxVersion" not in found:
        message = f"{scanner} wrote no SPDX document"
        raise Corrupt(message)
    return found
