from __future__ import annotations

import os

from knarr.supervise.loop import READ, Loop


def test_events_of_the_gone_do_not_reach_who_has_their_number_now() -> None:
    loop = Loop()
    pipes = [os.pipe() for _ in range(2)]
    called: list[int] = []
    extra: list[int] = []

    def first_come(_: int) -> None:
        """Put a pipe that has nothing to say in the place of the other one, whose end is known."""
        loop.stop()
        for reader, _ in pipes:
            loop.forget(reader)
        silent, writer = os.pipe()
        for reader, _ in pipes:
            os.dup2(silent, reader)
            loop.watch(reader, READ, called.append)
        extra.extend((silent, writer))

    for reader, writer in pipes:
        loop.watch(reader, READ, first_come)
        os.close(writer)
    loop.run()
    assert called == []
    for descriptor in (*extra, *(reader for reader, _ in pipes)):
        os.close(descriptor)
