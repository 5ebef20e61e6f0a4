"""The driver `syslog`: a message a line, to a socket of this machine or another one.

Spec: RFC 3164 section 4; RFC 5424 section 6; RFC 6587 section 3.4.2 (over TCP a line feed ends it)
Docker: daemon/logger/syslog; without a format, what a local syslogd gets: no host name
"""

from __future__ import annotations

import os
import time

from knarr.supervise.drivers.shipper import Address, Shipper
from knarr.supervise.jsonfile import rfc3339
from knarr.supervise.messages import STDERR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.supervise.loop import Loop
    from knarr.supervise.messages import LogOptions

PORT = 514
SOCKETS = ("/dev/log", "/var/run/syslog", "/var/run/log")
FACILITIES = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "", "", "", "", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
)  # fmt: skip
ERROR, INFORMATION = 3, 6


def open_log(options: LogOptions, loop: Loop) -> Shipper:
    """Return the log that `options` ask for."""
    settings = dict(options.settings)
    text = settings.get("syslog-address") or _local()
    message = Message(settings)
    ending = b"" if text.startswith(("udp", "unixgram")) else b"\n"

    def encode(stream: int, line: bytes, partial: bool, now_ns: int) -> list[bytes]:  # noqa: FBT001
        del partial
        return [message.head(stream, now_ns) + line + ending]

    return Shipper(options, loop, Address(text, PORT), encode)


def _local() -> str:
    path = next((path for path in SOCKETS if os.path.exists(path)), SOCKETS[0])
    return f"unixgram://{path}"


class Message:
    """What stands in front of a line."""

    def __init__(self, settings: dict[str, str]) -> None:
        facility = settings.get("syslog-facility") or "daemon"
        number = int(facility) if facility.isdecimal() else FACILITIES.index(facility)
        self._base = number * 8
        self._tag = settings["tag"]
        self._form = settings.get("syslog-format", "")
        self._host = os.uname().nodename
        self._pid = os.getpid()

    def head(self, stream: int, now_ns: int) -> bytes:
        """Return everything in front of the text of a line of `stream`."""
        priority = self._base + (ERROR if stream == STDERR else INFORMATION)
        if self._form.startswith("rfc5424"):
            digits = 6 if self._form.endswith("micro") else 0
            when = _utc(now_ns, digits)
            words = f"<{priority}>1 {when} {self._host} {self._tag} {self._pid} {self._tag} - "
        else:
            when = time.strftime("%b %e %H:%M:%S", time.localtime(now_ns // 10**9))
            host = f"{self._host} " if self._form == "rfc3164" else ""
            words = f"<{priority}>{when} {host}{self._tag}[{self._pid}]: "
        return words.encode()


def _utc(now_ns: int, digits: int) -> str:
    """Return a time with so many digits of the second's fraction."""
    seconds, fraction = rfc3339(now_ns)[:-1].split(".")
    return f"{seconds}.{fraction[:digits]}Z" if digits else f"{seconds}Z"
