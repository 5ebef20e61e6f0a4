"""The driver `fluentd`: the forward protocol, an entry a line.

Spec: Fluentd, "Forward Protocol Specification v1", message mode: [tag, time, record]
Spec: MessagePack, the few types that takes
"""

from __future__ import annotations

from knarr.supervise.drivers.shipper import Address, Shipper
from knarr.supervise.jsonfile import NAMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.supervise.loop import Loop
    from knarr.supervise.messages import LogOptions

PORT = 24224
DEFAULT = f"tcp://localhost:{PORT}"
SECOND = 10**9


class Fluentd(Shipper):
    """A shipper that does not insist on a receiver with `fluentd-async`."""

    asynchronous = False

    def begin(self) -> None:
        """Connect.

        Raises: Failed
        """
        if self.asynchronous:
            self._connect_again()
        else:
            super().begin()


def open_log(options: LogOptions, loop: Loop) -> Shipper:
    """Return the log that `options` ask for."""
    settings = dict(options.settings)
    precise = settings.get("fluentd-sub-second-precision") == "true"
    tag = settings["tag"]
    record = {
        "container_id": settings["id"],
        "container_name": f"/{settings['name']}",
        **dict(options.attributes),
    }

    def encode(stream: int, line: bytes, partial: bool, now_ns: int) -> list[bytes]:  # noqa: FBT001
        entry: dict[str, str | bytes] = {**record, "source": NAMES[stream], "log": line}
        if partial:
            entry["partial_message"] = "true"
        when = event_time(now_ns) if precise else b"\xce" + (now_ns // SECOND).to_bytes(4, "big")
        return [b"\x93" + text(tag) + when + mapping(entry)]

    address = settings.get("fluentd-address") or DEFAULT
    if "://" not in address:
        address = f"tcp://{address}"
    log = Fluentd(options, loop, Address(address, PORT), encode)
    log.asynchronous = settings.get("fluentd-async") == "true"
    return log


def text(value: str | bytes) -> bytes:
    """Return a string of MessagePack."""
    data = value.encode() if isinstance(value, str) else value
    size = len(data)
    if size < 32:
        return bytes((0xA0 | size,)) + data
    if size < 1 << 8:
        return b"\xd9" + size.to_bytes(1, "big") + data
    if size < 1 << 16:
        return b"\xda" + size.to_bytes(2, "big") + data
    return b"\xdb" + size.to_bytes(4, "big") + data


def mapping(fields: dict[str, str | bytes]) -> bytes:
    """Return a map of MessagePack."""
    count = len(fields)
    head = bytes((0x80 | count,)) if count < 16 else b"\xde" + count.to_bytes(2, "big")
    return head + b"".join(text(name) + text(value) for name, value in fields.items())


def event_time(now_ns: int) -> bytes:
    """Return a time with its nanoseconds: extension type 0 of eight bytes."""
    seconds, rest = divmod(now_ns, SECOND)
    return b"\xd7\x00" + seconds.to_bytes(4, "big") + rest.to_bytes(4, "big")
