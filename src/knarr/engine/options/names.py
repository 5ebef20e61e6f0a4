"""Names as people write them: `--name`, `-h`, `--add-host`, `--dns`, `--stop-signal`."""

from __future__ import annotations

from knarr.engine.options.ports import check_address
from knarr.errors import InvalidArgument

LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
SIGNALS = (
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
)  # fmt: skip
SYNONYMS = {"IOT": "ABRT", "CLD": "CHLD", "POLL": "IO", "UNUSED": "SYS"}
# glibc keeps the first two realtime signals of the kernel for itself.
RTMIN, RTMAX = 34, 64


def check_name(name: str) -> None:
    """Raise unless `name` can be a container's.

    Raises: InvalidArgument
    """
    rest = name[1:]
    if len(name) < 2 or name[0] not in LETTERS or not (LETTERS | set("_.-")).issuperset(rest):
        message = f"invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        raise InvalidArgument(message)


def check_hostname(name: str) -> None:
    """Raise unless the kernel takes `name` and it means something in /etc/hosts.

    Raises: InvalidArgument
    """
    if len(name) > 63 or any(letter.isspace() or not letter.isprintable() for letter in name):
        message = f"invalid hostname: {name}"
        raise InvalidArgument(message, hint="At most 63 characters without blanks.")


def parse_extra_host(text: str) -> str:
    """Return `--add-host name:address` or `name=address` as `name:address`.

    The address may be `host-gateway`, which stands for the host as the container sees it.

    Raises: InvalidArgument
    """
    name, separator, address = text.partition("=")
    if not separator:
        name, separator, address = text.partition(":")
    if not separator or not name:
        message = f'bad format for add-host: "{text}"'
        raise InvalidArgument(message)
    address = address.removeprefix("[").removesuffix("]")
    if address != "host-gateway":
        try:
            check_address(address)
        except InvalidArgument:
            message = f'invalid IP address in add-host: "{address}"'
            raise InvalidArgument(message) from None
    return f"{name}:{address}"


def check_dns(text: str) -> str:
    """Return the address of a `--dns` server.

    Raises: InvalidArgument
    """
    try:
        check_address(text.strip())
    except InvalidArgument:
        message = f"IP address is not correctly formatted: {text}"
        raise InvalidArgument(message) from None
    return text.strip()


def check_domain(text: str) -> str:
    """Return the domain of a `--dns-search`; `.` alone stands for none.

    Raises: InvalidArgument
    """
    domain = text.strip()
    if domain == ".":
        return domain
    labels = domain.removesuffix(".").split(".")
    plain = all(label and label.strip("-") == label for label in labels)
    if not plain or not (LETTERS | {"-", "."}).issuperset(domain) or LETTERS.isdisjoint(domain):
        message = f"{text} is not a valid domain"
        raise InvalidArgument(message)
    return domain


def parse_signal(text: str) -> int:
    """Return the number of `SIGTERM`, `term`, `15` or `RTMIN+3`.

    Raises: InvalidArgument
    """
    name = text.strip().upper().removeprefix("SIG")
    number = 0
    if name.isascii() and name.isdecimal():
        number = int(name)
    elif name.startswith("RTMIN"):
        number = RTMIN + _offset(name.removeprefix("RTMIN"), "+")
    elif name.startswith("RTMAX"):
        number = RTMAX - _offset(name.removeprefix("RTMAX"), "-")
    else:
        name = SYNONYMS.get(name, name)
        number = SIGNALS.index(name) + 1 if name in SIGNALS else 0
    if not 0 < number <= RTMAX:
        message = f"invalid signal: {text}"
        raise InvalidArgument(message)
    return number


def _offset(text: str, sign: str) -> int:
    if not text:
        return 0
    if text[0] == sign and text[1:].isdecimal() and int(text[1:]) <= RTMAX - RTMIN:
        return int(text[1:])
    return -RTMAX  # out of range: the caller refuses it
