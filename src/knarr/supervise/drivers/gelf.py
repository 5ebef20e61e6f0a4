"""The driver `gelf`: a JSON object a line, over UDP compressed and in chunks, or over TCP.

Spec: Graylog, "GELF": version 1.1; chunks begin with 1e 0f, an ID, a number and their count; over
TCP a zero byte ends a message, which is not compressed
"""

from __future__ import annotations

import os
import zlib

from knarr.supervise.drivers.shipper import Address, Shipper
from knarr.supervise.messages import STDERR
from knarr.util.jsontext import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.supervise.loop import Loop
    from knarr.supervise.messages import LogOptions

PORT = 12201
CHUNK = 1420 - 12  # bytes that fit a datagram on any way
MOST_CHUNKS = 128
WINDOWS = {"gzip": 31, "zlib": 15}
ERROR, INFORMATION = 3, 6


def open_log(options: LogOptions, loop: Loop) -> Shipper:
    """Return the log that `options` ask for."""
    settings = dict(options.settings)
    address = Address(settings["gelf-address"], PORT)
    level = int(settings.get("gelf-compression-level") or 1)
    window = WINDOWS.get(settings.get("gelf-compression-type") or "gzip", 0)
    constant = {
        "version": "1.1",
        "host": os.uname().nodename,
        "_container_id": settings["id"],
        "_container_name": settings["name"],
        "_image_id": settings["image_id"],
        "_image_name": settings["image"],
        "_command": settings["command"],
        "_tag": settings["tag"],
        "_created": settings["created"],
        **{f"_{name}": value for name, value in options.attributes},
    }

    def encode(stream: int, line: bytes, partial: bool, now_ns: int) -> list[bytes]:  # noqa: FBT001
        del partial
        document = {
            **constant,
            "short_message": line.decode("utf-8", "replace"),
            "timestamp": round(now_ns / 1e9, 3),
            "level": ERROR if stream == STDERR else INFORMATION,
        }
        data = dumps(document).encode()
        if address.kind == "tcp":
            return [data + b"\0"]
        if window:
            packer = zlib.compressobj(level, zlib.DEFLATED, window)
            data = packer.compress(data) + packer.flush()
        return chunks(data, os.urandom(8))

    return Shipper(options, loop, address, encode)


def chunks(data: bytes, identity: bytes) -> list[bytes]:
    """Return the datagrams of a message; what no receiver would put together is not sent."""
    if len(data) <= CHUNK:
        return [data]
    pieces = [data[start : start + CHUNK] for start in range(0, len(data), CHUNK)]
    if len(pieces) > MOST_CHUNKS:
        return []
    head = b"\x1e\x0f" + identity
    return [head + bytes((n, len(pieces))) + piece for n, piece in enumerate(pieces)]
