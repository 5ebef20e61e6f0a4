"""Streams of questions: who asks and does not read is not read either."""

from __future__ import annotations

import socket
import struct

from knarr.supervise.loop import Loop
from knarr.supervise.names.resolver import Stream

ANSWER = b"x" * 8192
QUESTIONS = 1000
QUESTION = struct.pack("!H", 12) + b"q" * 12


def turn(loop: Loop, times: int) -> None:
    """Let the loop go round so many times, whatever happens."""

    def again() -> None:
        nonlocal times
        times -= 1
        if times:
            loop.later(0, again)
        else:
            loop.stop()

    loop.later(0, again)
    loop.run()
    loop._going = True


def test_answers_wait_for_their_reader_and_questions_for_both() -> None:
    loop = Loop()
    asker, ours = socket.socketpair()
    asked = 0

    def on_question(message: bytes) -> None:
        nonlocal asked
        assert message == b"q" * 12
        asked += 1
        stream.send(ANSWER)

    stream = Stream(loop, ours, on_question, lambda: None)
    asker.sendall(QUESTION * QUESTIONS)
    turn(loop, 50)
    assert 0 < asked < QUESTIONS / 4
    received = 0
    asker.setblocking(False)
    while received < QUESTIONS * (2 + len(ANSWER)):
        turn(loop, 2)
        try:
            while data := asker.recv(1 << 20):
                received += len(data)
        except BlockingIOError:
            continue
    assert asked == QUESTIONS
    asker.close()
    stream.close()
