"""What a `Service` of ours can be made to do instead of its duty."""

from __future__ import annotations

import time
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from support.webservice import Act, Handler


def refuse(status: int, code: str = "", message: str = "", **headers: str) -> Act:
    """Answer with an error."""

    def act(handler: Handler) -> bool:
        if code:
            handler.error(status, code, message, **headers)
        else:
            handler.send(status, b"", **headers)
        return True

    return act


def redirect(url: str, status: int = 307) -> Act:
    """Send on to `url`, in which `{path}` is the path asked for."""

    def act(handler: Handler) -> bool:
        handler.send(status, Location=url.format(path=handler.path))
        return True

    return act


def hang_up(handler: Handler) -> bool:
    """Close the connection without a word."""
    handler.close_connection = True
    handler.connection.close()
    return True


def hang_up_unread(handler: Handler) -> bool:
    """Read some of what is sent, then close the connection."""
    handler.rfile.read(min(100_000, int(handler.headers["content-length"])))
    return hang_up(handler)


hang_up_unread.unread = True  # type: ignore[attr-defined]


def cut_after(count: int) -> Act:
    """Answer as is right, but close the connection after `count` bytes of the body."""

    def act(handler: Handler) -> bool:
        real = handler.wfile.write

        def write(data: bytes) -> int:
            real(data[:count])
            handler.wfile.flush()
            raise ConnectionAbortedError

        def end_headers() -> None:
            BaseHTTPRequestHandler.end_headers(handler)
            handler.wfile.write = write  # type: ignore[method-assign,assignment]

        handler.end_headers = end_headers  # type: ignore[method-assign]
        return False

    return act


def say(body: bytes, status: int = 200, **headers: str) -> Act:
    """Answer with `body`, whatever was asked for."""

    def act(handler: Handler) -> bool:
        handler.send(status, body, **headers)
        return True

    return act


def endless(**headers: str) -> Act:
    """Answer with a body that never ends, and has no length."""

    def act(handler: Handler) -> bool:
        handler.send(200, b"", Content_Length="", Connection="close", **headers)
        handler.close_connection = True
        while True:
            handler.wfile.write(bytes(1 << 16))

    return act


def slow(seconds: float) -> Act:
    """Answer as is right, but late."""

    def act(handler: Handler) -> bool:
        time.sleep(seconds)
        return False

    return act
