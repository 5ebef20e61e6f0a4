"""The driver `journald`: a datagram a line, in the journal's own form.

Spec: systemd, "Native Journal Protocol": NAME=value lines; a value with line feeds has its length
in front, which a line of output never needs, but a label may
Docker: daemon/logger/journald for the names of the fields
"""

from __future__ import annotations

from knarr.supervise.drivers.shipper import Address, Shipper
from knarr.supervise.messages import STDERR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.supervise.loop import Loop
    from knarr.supervise.messages import LogOptions

SOCKET = "unixgram:///run/systemd/journal/socket"


def open_log(options: LogOptions, loop: Loop) -> Shipper:
    """Return the log that `options` ask for."""
    settings = dict(options.settings)
    fields = {
        "CONTAINER_ID": settings["id"][:12],
        "CONTAINER_ID_FULL": settings["id"],
        "CONTAINER_NAME": settings["name"],
        "CONTAINER_TAG": settings["tag"],
        "IMAGE_NAME": settings["image"],
        "SYSLOG_IDENTIFIER": settings["tag"],
    }
    fields |= {field_name(name): value for name, value in options.attributes}
    constant = b"".join(field(name, value.encode()) for name, value in fields.items())

    def encode(stream: int, line: bytes, partial: bool, now_ns: int) -> list[bytes]:  # noqa: FBT001
        del now_ns
        priority = b"PRIORITY=3\n" if stream == STDERR else b"PRIORITY=6\n"
        part = b"CONTAINER_PARTIAL_MESSAGE=true\n" if partial else b""
        return [b"".join((constant, priority, part, field("MESSAGE", line)))]

    address = settings.get("journald-address") or SOCKET
    return Shipper(options, loop, Address(address, 0), encode)


def field(name: str, value: bytes) -> bytes:
    """Return one field."""
    if b"\n" not in value:
        return b"%b=%b\n" % (name.encode(), value)
    return b"%b\n%b%b\n" % (name.encode(), len(value).to_bytes(8, "little"), value)


def field_name(name: str) -> str:
    """Return `name` as the journal takes it: capitals, digits, and low lines not at the front."""
    made = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name)
    return made.lstrip("_").upper()
