"""The packages in a file system, as the package managers in it have written them down.

    dpkg     var/lib/dpkg/status, var/lib/dpkg/status.d/*   (the latter in images without dpkg)
    apk      lib/apk/db/installed, usr/lib/apk/db/installed
    rpm      …/rpm/rpmdb.sqlite, as it has been since 2020; older databases are not read
    python   */site-packages/*.dist-info/METADATA, *.egg-info, dist-packages

Nothing of the file system is executed, no link leads out of it, and what is too large is not read.
"""

from __future__ import annotations

import errno
import os
import stat

from knarr.linux import path as paths
from knarr.util.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MOST = 256 << 20
_LISTS = ("var/lib/dpkg/status",)
_APK = ("lib/apk/db/installed", "usr/lib/apk/db/installed")
_RPM = ("var/lib/rpm/rpmdb.sqlite", "usr/lib/sysimage/rpm/rpmdb.sqlite")
_PYTHONS = ("usr/lib", "usr/local/lib", "usr/lib64", "usr/local/lib64", "opt/venv/lib", "lib")
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP)


class Package(Value):
    """A package of the kind `type`, in the words of package URLs: deb, apk, rpm, pypi.

    `license` is an SPDX expression; what package managers write in other words is left out.
    """

    type: str
    name: str
    version: str
    architecture: str = ""
    license: str = ""
    supplier: str = ""


def find_packages(root_fd: int) -> list[Package]:
    """Return all packages, in the order of their kind, name and version."""
    release = _fields(_read(root_fd, "etc/os-release") or _read(root_fd, "usr/lib/os-release"))
    distribution = release.get("ID", "").strip("\"'")
    found = [
        *_dpkg(root_fd, distribution),
        *_apk(root_fd, distribution),
        *_rpm(root_fd, distribution),
        *_python(root_fd),
    ]
    unique = {(each.type, each.name, each.version, each.architecture): each for each in found}
    return [unique[key] for key in sorted(unique)]


def _dpkg(root_fd: int, distribution: str) -> Iterator[Package]:
    names = [f"var/lib/dpkg/status.d/{each}" for each in _list(root_fd, "var/lib/dpkg/status.d")]
    for name in (*_LISTS, *(each for each in names if not each.endswith(".md5sums"))):
        for about in _stanzas(_read(root_fd, name), ":"):
            installed = about.get("Status", "install ok installed").endswith(" installed")
            if installed and about.get("Package") and about.get("Version"):
                yield Package(
                    "deb",
                    about["Package"],
                    about["Version"],
                    about.get("Architecture", ""),
                    supplier=distribution or "debian",
                )


def _apk(root_fd: int, distribution: str) -> Iterator[Package]:
    for name in _APK:
        for about in _stanzas(_read(root_fd, name), ":"):
            if about.get("P") and about.get("V"):
                yield Package(
                    "apk",
                    about["P"],
                    about["V"],
                    about.get("A", ""),
                    about.get("L", ""),
                    distribution or "alpine",
                )


def _rpm(root_fd: int, distribution: str) -> Iterator[Package]:
    for name in _RPM:
        data = _read(root_fd, name)
        if data:
            from knarr.engine.build.attesting.rpm import read_rpms  # noqa: PLC0415 - few have any

            for about in read_rpms(data):
                yield Package("rpm", *about, supplier=distribution or "rpm")


def _python(root_fd: int) -> Iterator[Package]:
    for above in _PYTHONS:
        for version in _list(root_fd, above):
            if not version.startswith("python"):
                continue
            for kind in ("site-packages", "dist-packages"):
                yield from _distributions(root_fd, f"{above}/{version}/{kind}")


def _distributions(root_fd: int, directory: str) -> Iterator[Package]:
    for name in _list(root_fd, directory):
        if name.endswith(".dist-info"):
            data = _read(root_fd, f"{directory}/{name}/METADATA")
        elif name.endswith(".egg-info"):
            data = _read(root_fd, f"{directory}/{name}/PKG-INFO")
            data = data or _read(root_fd, f"{directory}/{name}")
        else:
            continue
        about = next(_stanzas(data, ":"), {})
        if about.get("Name") and about.get("Version"):
            licensed = about.get("License-Expression", "")
            yield Package("pypi", about["Name"], about["Version"], license=licensed)


def _read(root_fd: int, path: str) -> bytes:
    """Return the contents of a file; nothing if there is none, or none that is one."""
    try:
        descriptor = paths.open_in_root(root_fd, path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in _ABSENT:
            return b""
        raise
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST:
            return b""
        return file.read(_MOST)


def _list(root_fd: int, path: str) -> list[str]:
    try:
        descriptor = paths.open_in_root(root_fd, path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        if error.errno in _ABSENT:
            return []
        raise
    try:
        return sorted(os.listdir(descriptor))
    finally:
        os.close(descriptor)


def _stanzas(data: bytes, separator: str) -> Iterator[dict[str, str]]:
    """Yield the fields of each paragraph; lines that continue one are of no interest here."""
    about: dict[str, str] = {}
    for line in data.decode("utf-8", "replace").split("\n"):
        if not line.strip():
            if about:
                yield about
            about = {}
            continue
        key, found, value = line.partition(separator)
        if found and not line[0].isspace():
            about.setdefault(key, value.strip())
    if about:
        yield about


def _fields(data: bytes) -> Mapping[str, str]:
    return next(_stanzas(data, "="), {})
