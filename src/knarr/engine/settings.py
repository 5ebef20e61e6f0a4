"""Settings: what the administrator of a machine says once, for every command.

    engine.settings.get(settings.SPACE)

They are read from `/etc/knarr/knarr.toml`, or from the file that `KNARR_SETTINGS` names, when the
first of them is asked for; without a file that costs one system call, and every setting has its
default. `docs/settings.md` describes each. What concerns registries is in `registries.toml`.

A setting is a constant below and an entry of `SETTINGS`: its name, which is `table.key` in the
file; how its value is read; what it is without a word about it. A reader takes what TOML says and
returns the value, or raises ValueError with what it must be: "must be a string". A word that
is not known is an error: it is a slip, and what it was meant to say would not happen.
"""

from __future__ import annotations

import os

from knarr.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Generic, TypeVar

    from knarr.engine.engine import Engine

    T = TypeVar("T")
else:
    T = None
    Generic = {T: object}  # `typing` is not loaded for a subscript

SYSTEM_PATH = "/etc/knarr/knarr.toml"
VARIABLE = "KNARR_SETTINGS"


class Setting(Generic[T]):
    """One setting: its `name` (`table.key`), how it is read, and what it is by `default`."""

    __slots__ = ("default", "name", "read")

    def __init__(self, name: str, read: Callable[[Any], T], default: T) -> None:
        """Take a name of two words, which are those in the file."""
        self.name = name
        self.read = read
        self.default = default


def text(value: Any) -> str:
    """Read a string."""
    if not isinstance(value, str):
        message = "must be a string"
        raise ValueError(message)
    return value


def number(value: Any) -> int:
    """Read a whole number that is not negative."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        message = "must be a whole number, 0 or more"
        raise ValueError(message)
    return value


def positive(value: Any) -> int:
    """Read a whole number that is at least 1."""
    found = number(value)
    if not found:
        message = "must be a whole number, 1 or more"
        raise ValueError(message)
    return found


def size(value: Any) -> int:
    """Read bytes: a number, or a string as sizes are written everywhere, such as "20GB"."""
    if isinstance(value, str):
        from knarr.util.text import parse_size  # noqa: PLC0415 - where such a setting is made

        try:
            return parse_size(value)
        except InvalidArgument:
            value = None
    try:
        return number(value)
    except ValueError:
        message = 'must be a size, such as "20GB"'
        raise ValueError(message) from None


def duration(value: Any) -> int:
    """Read nanoseconds, from a string as durations are written everywhere, such as "10m"."""
    from knarr.util.durations import parse_duration  # noqa: PLC0415 - where such a setting is made

    try:
        found = parse_duration(text(value))
    except ValueError:
        found = -1
    if found < 0:
        message = 'must be a duration, such as "10m"'
        raise ValueError(message)
    return found


def address(value: Any) -> str:
    """Read an IP address."""
    from knarr.network.address import parse_address  # noqa: PLC0415 - where such a setting is made

    try:
        parse_address(text(value))
    except (InvalidArgument, ValueError):
        message = 'must be an address, such as "127.0.0.1"'
        raise ValueError(message) from None
    return str(value)


def pools(value: Any) -> tuple[tuple[str, int], ...]:
    """Read blocks of addresses, each with the prefix of the subnets that are cut from it."""
    from knarr.network.address import BITS, parse_subnet  # noqa: PLC0415 - as above

    message = 'must be a list of blocks, such as [{base = "10.1.0.0/16", size = 24}]'
    if not isinstance(value, list) or not value:
        raise ValueError(message)
    found = []
    for item in value:
        if not isinstance(item, dict) or set(item) != {"base", "size"}:
            raise ValueError(message)
        base, prefix = text(item["base"]), number(item["size"])
        try:
            block = parse_subnet(base)
        except InvalidArgument as error:
            message = f"has a block that is none: {error.message}"
            raise ValueError(message) from None
        if not block.prefix <= prefix <= BITS[block.version] - 2:
            message = f"cannot cut subnets of size {prefix} from {base}"
            raise ValueError(message)
        found.append((base, prefix))
    return tuple(found)


def choice(*words: str) -> Callable[[Any], str]:
    """Return the reader of a setting that is one of `words`."""

    def read(value: Any) -> str:
        if value not in words:
            message = f"must be one of {', '.join(words)}"
            raise ValueError(message)
        return str(value)

    return read


ALWAYS, NEEDED, NEVER = "always", "needed", "never"

KEEP_BLOBS = Setting("images.keep_blobs", choice(ALWAYS, NEEDED, NEVER), NEEDED)
SPACE = Setting("images.space", size, 0)
DANGLING, UNUSED = "dangling", "unused"
SPACE_REMOVES = Setting("images.space_removes", choice(DANGLING, UNUSED), DANGLING)
SPACE_SPARES = Setting("images.space_spares", duration, 600 * 10**9)
DOWNLOADS = Setting("images.downloads", positive, 3)
UPLOADS = Setting("images.uploads", positive, 3)
GROWTH = Setting("images.growth", number, 200)
GROWTH_FREE = Setting("images.growth_free", size, 1 << 30)
PUBLISH = Setting("network.publish", address, "0.0.0.0")
ADDRESS_POOLS: Setting[tuple[tuple[str, int], ...]] = Setting("network.address_pools", pools, ())
CGROUP_MANAGER = Setting("runtime.cgroup_manager", choice("cgroupfs", "systemd"), "cgroupfs")

_ALL: tuple[Setting[Any], ...] = (
    KEEP_BLOBS,
    SPACE,
    SPACE_REMOVES,
    SPACE_SPARES,
    DOWNLOADS,
    UPLOADS,
    GROWTH,
    GROWTH_FREE,
    PUBLISH,
    ADDRESS_POOLS,
    CGROUP_MANAGER,
)
SETTINGS = {setting.name: setting for setting in _ALL}


class Settings:
    """What the file says, each thing when it is asked for."""

    def __init__(self, engine: Engine | None = None) -> None:  # noqa: ARG002 - as every service
        """Read nothing yet."""
        self._named = os.environ.get(VARIABLE, "")
        self._values: Mapping[str, Any] | None = None
        self._found = False

    @property
    def path(self) -> str:
        """Return where settings are looked for."""
        return self._named or SYSTEM_PATH

    @property
    def in_use(self) -> str:
        """Return the file that is in use, "" where there is none.

        Raises: InvalidArgument, Failed
        """
        self._load()
        return self.path if self._found else ""

    def get(self, setting: Setting[T]) -> T:
        """Return the value of a setting.

        Raises: InvalidArgument (the file says what makes no sense), Failed (not readable)
        """
        value: T = self._load().get(setting.name, setting.default)
        return value

    def _load(self) -> Mapping[str, Any]:
        if self._values is None:
            document = self._document()
            self._found = document is not None
            self._values = decode(document, self.path) if document else {}
        return self._values

    def _document(self) -> dict[str, Any] | None:
        try:
            empty = not os.stat(self.path).st_size  # as /dev/null is, too
        except (FileNotFoundError, NotADirectoryError):
            if self._named:
                message = f"no such file: {self._named}"
                raise InvalidArgument(message, hint=f"{VARIABLE} names it.") from None
            return None
        if empty:
            return {}
        from knarr.util import tomlfile  # noqa: PLC0415 - where there are settings

        return tomlfile.load(self.path, purpose="Settings of knarr are read from it.")


def decode(document: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Return the values of the settings in the `document` of the file at `path`, by name.

    Raises: InvalidArgument, naming the file and the setting
    """
    tables = {name.partition(".")[0] for name in SETTINGS}
    values: dict[str, Any] = {}
    for table, keys in document.items():
        if table not in tables:
            raise _unknown(path, table, tables)
        if not isinstance(keys, dict):
            message = f"{path}: {table} must be a table: [{table}]"
            raise InvalidArgument(message)
        for key, value in keys.items():
            name = f"{table}.{key}"
            if name not in SETTINGS:
                raise _unknown(path, name, SETTINGS)
            try:
                values[name] = SETTINGS[name].read(value)
            except ValueError as error:
                message = f"{path}: {name} {error}"
                raise InvalidArgument(message) from None
    return values


def _unknown(path: str, name: str, known: set[str] | dict[str, Any]) -> InvalidArgument:
    from knarr.util.suggest import did_you_mean  # noqa: PLC0415 - nobody waits for an error

    message = f"{path}: unknown setting {name}{did_you_mean(name, known)}"
    return InvalidArgument(message, hint=f"There are: {', '.join(sorted(known))}.")
