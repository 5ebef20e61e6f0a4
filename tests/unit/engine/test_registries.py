from __future__ import annotations

import pytest

from knarr.engine.registries import registry_of
from knarr.errors import InvalidArgument


@pytest.mark.parametrize(
    ("server", "registry"),
    [
        ("", "docker.io"),
        ("docker.io", "docker.io"),
        ("index.docker.io", "docker.io"),
        ("https://index.docker.io/v1/", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("x.test", "x.test"),
        ("https://x.test:5000/v2/", "x.test:5000"),
        ("http://x.test", "x.test"),
        ("x.test/team", "x.test"),
        ("localhost", "localhost"),
        ("[::1]:5000", "[::1]:5000"),
        ("storage", "storage"),
    ],
)
def test_which_registry_a_person_means(server: str, registry: str) -> None:
    assert registry_of(server) == registry


@pytest.mark.parametrize("server", ["x y", "https://", "-", "a_b", "x.test:port", "ü.test"])
def test_what_is_no_registry(server: str) -> None:
    with pytest.raises(InvalidArgument, match="is not the name of a registry"):
        registry_of(server)
