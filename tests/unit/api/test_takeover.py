"""Handing a connection over when the client has read what came before."""

from __future__ import annotations

import socket
import threading
import time

from knarr.api.takeover import READING, let_read


def test_a_client_that_has_read_is_not_waited_for() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"head")
        theirs.recv(4)
        began = time.monotonic()
        let_read(ours)
        assert time.monotonic() - began < READING / 2


def test_a_client_that_is_about_to_read_is_waited_for() -> None:
    ours, theirs = socket.socketpair()
    read = threading.Event()

    def client() -> None:
        theirs.recv(4)
        read.set()

    with ours, theirs:
        ours.sendall(b"head")
        thread = threading.Timer(READING / 5, client)
        thread.start()
        let_read(ours)
        assert read.wait(READING / 5)
        thread.join()


def test_a_client_that_does_not_read_is_not_waited_for_long() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"head")
        let_read(ours)
        assert theirs.recv(4) == b"head"
