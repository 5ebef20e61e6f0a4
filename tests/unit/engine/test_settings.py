from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from knarr.engine import settings
from knarr.engine.settings import SETTINGS, Settings
from knarr.errors import Failed, InvalidArgument

PAGE = Path(__file__).parents[3] / "docs" / "settings.md"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that makes a text the settings."""

    def settings_of(text: str) -> Settings:
        path = tmp_path / "knarr.toml"
        path.write_text(text)
        monkeypatch.setenv("KNARR_SETTINGS", str(path))
        return Settings()

    return settings_of


def test_without_a_file_every_setting_has_its_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KNARR_SETTINGS")
    monkeypatch.setattr(settings, "SYSTEM_PATH", str(tmp_path / "missing"))
    found = Settings()
    assert found.get(settings.SPACE) == 0
    assert found.in_use == ""


def test_what_the_file_says_counts(write: Any) -> None:
    found = write('[images]\nspace = "20GB"\n')
    assert found.get(settings.SPACE) == 20 << 30
    assert found.in_use == found.path


def test_an_empty_file_says_nothing_and_is_in_use(write: Any) -> None:
    found = write("")
    assert found.get(settings.SPACE) == 0
    assert found.in_use


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[image]\n", r"unknown setting image \(did you mean images\?\)"),
        ("[images]\nspce = 1\n", r"unknown setting images\.spce \(did you mean images\.space\?\)"),
        ("[images]\nquite-other = 1\n", r"unknown setting images\.quite-other$"),
        ("space = 1\n", r"unknown setting space$"),
        ("images = 1\n", r"images must be a table: \[images\]"),
        ("[images]\nspace = true\n", r'images\.space must be a size, such as "20GB"'),
        ('[images]\nspace = "much"\n', r"images\.space must be a size"),
        ("[images]\nspace = -1\n", r"images\.space must be a size"),
        ("[images\n", r"line 1"),
    ],
)
def test_what_makes_no_sense_is_refused_by_file_and_name(
    write: Any, text: str, reason: str
) -> None:
    found = write(text)
    with pytest.raises(InvalidArgument, match=reason) as caught:
        found.get(settings.SPACE)
    assert str(caught.value).startswith(f"{found.path}: ")


def test_a_named_file_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KNARR_SETTINGS", str(tmp_path / "missing"))
    with pytest.raises(InvalidArgument, match="no such file"):
        Settings().get(settings.SPACE)


def test_a_file_that_cannot_be_read_is_no_file_without_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KNARR_SETTINGS", str(tmp_path))
    with pytest.raises(Failed, match="cannot read"):
        Settings().get(settings.SPACE)


@pytest.mark.parametrize(
    ("read", "value", "expected"),
    [
        (settings.text, "x", "x"),
        (settings.number, 0, 0),
        (settings.size, 512, 512),
        (settings.size, "1k", 1024),
        (settings.choice("a", "b"), "b", "b"),
        (settings.duration, "1m", 60 * 10**9),
    ],
)
def test_readers_take_what_fits(read: Any, value: object, expected: object) -> None:
    assert read(value) == expected


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (settings.text, 1),
        (settings.number, True),
        (settings.number, 1.5),
        (settings.number, -1),
        (settings.size, "1x"),
        (settings.size, []),
        (settings.choice("a", "b"), "c"),
        (settings.duration, 5),
        (settings.duration, "-5s"),
        (settings.duration, "soon"),
        (settings.choice("a", "b"), ["a"]),
    ],
)
def test_readers_refuse_the_rest(read: Any, value: object) -> None:
    with pytest.raises(ValueError, match="must be"):
        read(value)


@pytest.mark.parametrize("name", sorted(SETTINGS))
def test_every_setting_is_described(name: str) -> None:
    assert f"| `{name}` |" in PAGE.read_text()


def test_reading_no_file_loads_no_parser() -> None:
    code = (
        "import sys; from knarr.engine import settings; settings.SYSTEM_PATH = '/nowhere/x';"
        "assert settings.Settings().get(settings.SPACE) == 0;"
        "print(*sorted(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": str(Path(settings.__file__).parents[2])},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert not {"tomllib", "re", "typing"} & set(result.stdout.split())
