"""An authority of our own, with certificates for a server on loopback and for a client."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

NAMES = (
    "subjectAltName=DNS:localhost,DNS:registry.test,DNS:auth.test,DNS:registry-1.docker.io,"
    "DNS:index.docker.io,IP:127.0.0.1"
)


class Authority:
    """Files below `directory`: ca, server and client, certificate and key each."""

    def __init__(self, directory: Path) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("openssl is not installed, which makes the certificates")
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.certificate = str(directory / "ca.crt")
        self.server_certificate = str(directory / "server.crt")
        self.server_key = str(directory / "server.key")
        self.client_certificate = str(directory / "client.crt")
        self.client_key = str(directory / "client.key")
        self._request("ca", "-x509", "-subj", "/CN=an authority of knarr's tests",
                      "-addext", "keyUsage=critical,keyCertSign")  # fmt: skip
        for name, addition in (("server", NAMES), ("client", "extendedKeyUsage=clientAuth")):
            self._request(name, "-x509", "-subj", f"/CN={name}", "-addext", addition,
                          "-CA", self.certificate, "-CAkey", str(directory / "ca.key"),
                          "-addext", "basicConstraints=critical,CA:FALSE")  # fmt: skip

    def _request(self, name: str, *words: str) -> None:
        subprocess.run(
            ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "30", "-keyout", str(self.directory / f"{name}.key"),
             "-out", str(self.directory / f"{name}.crt"), *words],
            check=True, capture_output=True,
        )  # fmt: skip
