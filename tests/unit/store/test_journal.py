"""Entries of the living are leases; entries of the dead are work for the next."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from knarr.oci.digest import digest_of
from knarr.store.garbage import leases, unneeded_blobs, unneeded_layers
from knarr.store.journal import EVERYTHING, UNKNOWN, Journal
from knarr.store.layers import LayerRow
from support.children import end, run_python, start_python, wait_stopped

WORK = """
import sys
from knarr.store.journal import UNKNOWN, Journal
with Journal(sys.argv[1]).begin("load", "key", "detail", needs=["sha256:1"]) as operation:
    operation.note("more")
"""


def test_an_operation_under_way_is_living(journal: Journal) -> None:
    with journal.begin("load", "a", "b", needs=["c"]):
        (entry,) = journal.living()
        assert (entry.kind, entry.key, entry.detail, entry.needs) == ("load", "a", "b", ("c",))
        assert journal.unfinished() == []
    assert journal.living() == []
    assert os.listdir(journal.directory) == []


def test_failing_clears_the_entry(journal: Journal) -> None:
    with pytest.raises(KeyError), journal.begin("load", "a"):
        raise KeyError
    assert os.listdir(journal.directory) == []


def test_notes_and_needs_are_seen_at_once(journal: Journal) -> None:
    with journal.begin("load", "a") as operation:
        operation.note("half")
        operation.need(["x"])
        operation.need(["y"])
        (entry,) = journal.living()
        assert (entry.detail, entry.needs) == ("half", ("x", "y"))
        assert len(os.listdir(journal.directory)) == 1


def test_what_a_killed_process_did_is_unfinished(journal: Journal) -> None:
    assert run_python(WORK, journal.directory, trace="journal:ending=kill").returncode == -9
    assert journal.living() == []
    (entry,) = journal.unfinished()
    assert (entry.kind, entry.key, entry.detail) == ("load", "key", "more")
    # It is ours now: for others it is under way.
    other = Journal(journal.directory)
    assert other.unfinished() == []
    assert len(other.living()) == 1
    journal.release(entry)
    (entry,) = other.unfinished()
    other.clear(entry)
    assert journal.unfinished() == []
    assert os.listdir(journal.directory) == []


def test_a_stopped_process_lives(journal: Journal) -> None:
    child = start_python(WORK, journal.directory, trace="journal:begun=stop")
    try:
        wait_stopped(child)
        assert len(journal.living()) == 1
        assert journal.unfinished() == []
    finally:
        end(child)
    (entry,) = journal.unfinished()
    journal.clear(entry)


def test_half_made_entries_are_swept(journal: Journal) -> None:
    Path(journal.directory, ".new-0").write_text('{"kind":')
    assert journal.living() == []
    assert journal.unfinished() == []
    assert os.listdir(journal.directory) == []


@pytest.mark.parametrize("text", ["", "\0" * 40, "{}"])
def test_what_a_power_cut_left_of_an_entry_is_an_operation_too(journal: Journal, text: str) -> None:
    Path(journal.directory, "x").write_text(text)
    (entry,) = journal.unfinished()
    assert (entry.kind, entry.key) == (UNKNOWN, "x")
    journal.clear(entry)
    assert os.listdir(journal.directory) == []


def test_a_lease_waits_for_who_collects(journal: Journal) -> None:
    gate = journal.gate()
    gate.acquire()
    child = start_python(WORK, journal.directory, trace="journal:begun=stop")
    try:
        while not journal.living():
            assert child.poll() is None
        # The entry is visible, and the operation waits at the gate.
        assert child.poll() is None
        gate.release()
        wait_stopped(child)
    finally:
        end(child)
    for entry in journal.unfinished():
        journal.clear(entry)


A, B, C, D = (digest_of(name) for name in (b"a", b"b", b"c", b"d"))
ROWS = [
    LayerRow(A, A, None, 1, 1, 1),
    LayerRow(B, B, A, 1, 1, 1),
    LayerRow(C, C, B, 1, 1, 1),
    LayerRow(D, D, A, 1, 1, 1),
]


def test_layers_below_a_needed_one_are_needed() -> None:
    assert unneeded_layers(ROWS, [C], frozenset()) == [D]
    assert set(unneeded_layers(ROWS, [D], frozenset())) == {B, C}
    assert unneeded_layers(ROWS, [A], frozenset([B])) == sorted([C, D])


def test_what_is_on_top_goes_first() -> None:
    order = unneeded_layers(ROWS, [], frozenset())
    assert sorted(order) == sorted([A, B, C, D])
    assert order.index(C) < order.index(B) < order.index(A)
    assert order.index(D) < order.index(A)


def test_leases_spare(journal: Journal) -> None:
    with journal.begin("load", "x", needs=[A]), journal.begin("other", "y"):
        leased = leases(journal.living())
        assert leased == frozenset([A])
        assert unneeded_blobs([A, B, C], [B], leased) == [C]
        with journal.begin("build", "z", needs=[EVERYTHING]):
            leased = leases(journal.living())
            assert leased is None
            assert unneeded_blobs([A, B, C], [B], leased) == []
            assert unneeded_layers(ROWS, [], leased) == []
