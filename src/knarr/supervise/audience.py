"""Everybody who is connected to a supervisor, and who of them waits for what.

Two have a part of their own: the *ordering* peer, which sent the order and steers the start, and
the *owner*, who cleans up after the exit. They may be the same, or nobody.
"""

from __future__ import annotations

from knarr.supervise import endpoints, places
from knarr.supervise.loop import READ
from knarr.supervise.peers import Peer

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from typing import Any

    from knarr.supervise.loop import Loop
    from knarr.supervise.peers import Handler
    from knarr.supervise.streams import Streams

REMOVED = "removed"


class Audience:
    """The clients of one supervisor."""

    def __init__(self, loop: Loop, handler: Handler, streams: Streams) -> None:
        """Give what clients send to `handler`; those attached to the container are in `streams`."""
        self.ordering: Peer | None = None
        self.owner: Peer | None = None
        self._loop = loop
        self._handler = handler
        self._streams = streams
        self._listener: _socket.socket | None = None
        self._peers: set[Peer] = set()
        self._waiters: list[tuple[Peer, object, str]] = []

    def welcome(self, descriptor: int) -> Peer:
        """Take in the client behind a socket."""
        peer = Peer(self._loop, descriptor, self._handler)
        self._peers.add(peer)
        return peer

    def forget(self, peer: Peer) -> None:
        """Take note that a client's connection has ended."""
        self._peers.discard(peer)
        self._waiters = [waiter for waiter in self._waiters if waiter[0] is not peer]
        self._streams.leave(peer)
        if peer is self.ordering:
            self.ordering = None
        if peer is self.owner:
            self.owner = None

    @property
    def empty(self) -> bool:
        return not self._peers

    # the door

    def listen(self, control_dir: str) -> None:
        """Let clients in."""
        self._listener = endpoints.listen(control_dir, places.SOCKET, endpoints.STREAM)
        self._loop.watch(self._listener.fileno(), READ, self._accept)

    def _accept(self, _: int) -> None:
        assert self._listener is not None
        try:
            self.welcome(endpoints.accept(self._listener))
        except OSError:  # gone again, or out of descriptors: that client's problem alone
            return

    def close(self) -> None:
        """Let nobody in any more, and hang up on everybody who has been told everything."""
        if self._listener:
            self._loop.forget(self._listener.fileno())
            self._listener.close()
            self._listener = None
        for peer in list(self._peers):
            peer.close_when_sent()

    # news

    def tell_ordering(self, message: dict[str, Any]) -> None:
        """Tell who ordered the container, if still there."""
        if self.ordering:
            self.ordering.send(message)

    def tell(self, message: dict[str, Any]) -> None:
        """Tell everybody who is attached, and who ordered the container."""
        for peer in {*self._streams.peers, self.ordering}:
            if peer:
                peer.send(message)

    def wait(self, peer: Peer, number: object, condition: str) -> None:
        """Remember that `peer` waits for `condition`, by its request's `number`."""
        self._waiters.append((peer, number, condition))

    def answer(self, fields: dict[str, Any], *, removed: bool) -> None:
        """Answer those who wait for the removal, or those who wait for anything else."""
        answered = [waiter for waiter in self._waiters if (waiter[2] == REMOVED) == removed]
        self._waiters = [waiter for waiter in self._waiters if (waiter[2] == REMOVED) != removed]
        for peer, number, _ in answered:
            peer.send({"n": number, "ok": True, **fields})
