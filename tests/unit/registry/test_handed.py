"""Credentials that come with a request."""

from __future__ import annotations

from knarr.registry.credentials import Login
from knarr.registry.handed import NOBODY, Handed

ANNA = Login("anna", "secret")
BERT = Login("bert", "geheim")


def test_logins_are_found_by_the_host_of_their_key() -> None:
    handed = Handed({"https://index.docker.io/v1/": ANNA, "registry.example:5000": BERT})
    assert handed.find("docker.io") == ANNA
    assert handed.find("registry.example:5000", "some/repository") == BERT
    assert handed.find("elsewhere.example") is None


def test_one_login_may_be_for_every_registry_without_its_own() -> None:
    handed = Handed({"registry.example": ANNA}, anywhere=BERT)
    assert handed.find("registry.example") == ANNA
    assert handed.find("elsewhere.example") == BERT


def test_nobody_has_no_login() -> None:
    assert NOBODY.find("registry.example") is None
