"""Log drivers, as a user sees them: files read by `logs`, and messages seen by small receivers."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import re
import socket
import time
import zlib
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.engine import Knarr

pytestmark = pytest.mark.root

NONE = ("--network", "none")
TALK = ("sh", "-c", "echo out; echo err >&2; printf unended")
PATIENCE = 10.0


def run(knarr: Knarr, driver: str, *words: str, name: str = "one") -> str:
    """Run a container to its end, with log options like `key=value` in front of its command."""
    options = [word for word in words if "=" in word.split(" ")[0] and not word.startswith("-")]
    rest = [word for word in words if word not in options]
    given = [text for option in options for text in ("--log-opt", option)]
    command = rest or list(TALK)
    start = ("run", "-d", *NONE, "--name", name, "--log-driver", driver, *given, "busybox")
    container_id = knarr(*start, *command).strip()
    knarr("wait", name)
    return container_id


def lines(count: int) -> tuple[str, ...]:
    return ("sh", "-c", f"seq {count} | sed 's/.*/line & of the log/'")


@contextlib.contextmanager
def receiver(kind: str, path: Path | None = None) -> Iterator[socket.socket]:
    """Lend a socket that receives: of a kind of address, at a path or on loopback."""
    unix = path is not None
    family = socket.AF_UNIX if unix else socket.AF_INET
    stream = kind in ("tcp", "unix")
    with socket.socket(family, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM) as sock:
        sock.bind(str(path) if unix else ("127.0.0.1", 0))
        sock.settimeout(PATIENCE)
        if stream:
            sock.listen()
        yield sock


def port(sock: socket.socket) -> int:
    number: int = sock.getsockname()[1]
    return number


def received(sock: socket.socket) -> bytes:
    """Return everything that one connection brings until its end."""
    connection, _ = sock.accept()
    connection.settimeout(PATIENCE)
    data = b""
    with connection:
        while piece := connection.recv(65536):
            data += piece
    return data


def files(knarr: Knarr, container_id: str) -> set[str]:
    return set(os.listdir(f"{knarr.root}/containers/{container_id}"))


# files


@pytest.mark.parametrize("driver", ["local", "json-file"])
def test_rotated_and_compressed_files_are_one_log(knarr: Knarr, driver: str) -> None:
    options = ("max-size=4k", "max-file=50", "compress=true")
    container_id = run(knarr, driver, *options, *lines(1000))
    assert knarr("logs", "one").splitlines() == [f"line {n} of the log" for n in range(1, 1001)]
    assert knarr("logs", "-n", "2", "one") == "line 999 of the log\nline 1000 of the log\n"
    names = files(knarr, container_id)
    assert [name for name in names if name.endswith(".3.gz")]
    assert not [name for name in names if name.endswith(".3")]


def test_the_local_driver_keeps_bytes_streams_and_times(knarr: Knarr) -> None:
    command = "printf 'a\\377b\\n'; sleep 0.1; echo err >&2; sleep 0.1; printf unended"
    run(knarr, "local", "sh", "-c", command)
    done = knarr.do("logs", "one")
    assert done.stdout.encode("utf-8", "surrogateescape") == b"a\xffb\nunended"
    assert done.stderr == "err\n"
    stamped = knarr.do("logs", "-t", "one").stdout
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z a", stamped)


def test_the_local_driver_takes_half_the_room(knarr: Knarr) -> None:
    sizes = {}
    for driver in ("local", "json-file"):
        container_id = run(knarr, driver, *lines(1000), name=driver)
        directory = f"{knarr.root}/containers/{container_id}"
        (log,) = [
            name
            for name in os.listdir(directory)
            if name.endswith(".log") and name != "supervisor.log"
        ]
        sizes[driver] = os.path.getsize(f"{directory}/{log}")
    assert sizes["local"] * 2 < sizes["json-file"]


def test_a_log_with_a_buffer_in_front_is_whole(knarr: Knarr) -> None:
    run(knarr, "json-file", "mode=non-blocking", "max-buffer-size=4m", *lines(20000))
    assert len(knarr("logs", "one").splitlines()) == 20000


def test_what_does_not_fit_the_buffer_is_counted(knarr: Knarr) -> None:
    options = ("mode=non-blocking", "max-buffer-size=1k")
    run(knarr, "json-file", *options, "sh", "-c", "head -c 300000 /dev/zero | tr '\\0' '\\n'")
    assert "of output are missing here: the buffer was full" in knarr.do("logs", "one").stderr


def test_labels_variables_and_the_tag_are_details(knarr: Knarr) -> None:
    options = ["labels=team", "env-regex=^APP_", "tag={{.Name}}/{{.ImageName}}"]
    given = [text for option in options for text in ("--log-opt", option)]
    about = ("-l", "team=blue", "-l", "other=1", "-e", "APP_A=1", "-e", "OTHER=2")
    knarr("run", *NONE, "--name", "one", *about, *given, "busybox", "echo", "hello")
    expected = "APP_A=1,tag=one%2Fbusybox,team=blue hello\n"
    assert knarr("logs", "--details", "one") == expected


def test_none_cannot_be_read(knarr: Knarr) -> None:
    run(knarr, "none")
    assert "configured logging driver does not support reading" in knarr.fails("logs", "one")


# receivers


@pytest.mark.parametrize(
    ("form", "pattern"),
    [
        ("", r"<30>\w{3} [ \d]\d \d\d:\d\d:\d\d [0-9a-f]{12}\[\d+\]: out"),
        ("rfc3164", r"<30>\w{3} [ \d]\d \d\d:\d\d:\d\d \S+ [0-9a-f]{12}\[\d+\]: out"),
        ("rfc5424", r"<30>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \S+ (\w{12}) \d+ \1 - out"),
        ("rfc5424micro", r"<30>1 [-\d]{10}T[:\d]{8}\.\d{6}Z \S+ (\w{12}) \d+ \1 - out"),
    ],
)
def test_syslog_over_udp(knarr: Knarr, form: str, pattern: str) -> None:
    with receiver("udp") as sock:
        options = [f"syslog-address=udp://127.0.0.1:{port(sock)}"]
        options += [f"syslog-format={form}"] if form else []
        run(knarr, "syslog", *options)
        messages = sorted(sock.recv(9000).decode() for _ in range(3))
    assert re.fullmatch(r"<27>.*err", messages[0])
    assert re.fullmatch(pattern, messages[1])
    assert re.fullmatch(r"<30>.*unended", messages[2])


def test_syslog_with_facility_and_tag_over_tcp_and_unix_sockets(knarr: Knarr) -> None:
    options = ("syslog-facility=local3", "tag={{.Name}}")
    with receiver("tcp") as sock:
        run(knarr, "syslog", f"syslog-address=tcp://127.0.0.1:{port(sock)}", *options, *lines(500))
        data = received(sock)
    assert data.count(b"\n") == 500
    assert re.match(rb"<158>.* one\[\d+\]: line 1 of the log\n", data)
    path = knarr.directory / "log"
    with receiver("unixgram", path) as sock:
        run(knarr, "syslog", f"syslog-address=unixgram://{path}", name="two")
        assert b"out" in sock.recv(9000) + sock.recv(9000)


def test_journald(knarr: Knarr) -> None:
    path = knarr.directory / "journal"
    with receiver("unixgram", path) as sock:
        container_id = run(knarr, "journald", f"journald-address=unixgram://{path}", "tag=t")
        messages = [
            dict(line.split("=", 1) for line in sock.recv(9000).decode().splitlines())
            for _ in range(3)
        ]
    by_text = {message["MESSAGE"]: message for message in messages}
    assert by_text["out"] == {
        "CONTAINER_ID": container_id[:12],
        "CONTAINER_ID_FULL": container_id,
        "CONTAINER_NAME": "one",
        "CONTAINER_TAG": "t",
        "IMAGE_NAME": "busybox",
        "SYSLOG_IDENTIFIER": "t",
        "PRIORITY": "6",
        "MESSAGE": "out",
    }
    assert by_text["err"]["PRIORITY"] == "3"
    assert by_text["unended"]["CONTAINER_PARTIAL_MESSAGE"] == "true"


def unpack(data: bytes) -> tuple[Any, bytes]:
    """Return the first value of MessagePack in `data`, and the rest."""
    mark, rest = data[0], data[1:]
    if mark & 0xF0 == 0x90:
        items = []
        for _ in range(mark & 15):
            item, rest = unpack(rest)
            items.append(item)
        return items, rest
    if mark & 0xF0 == 0x80:
        pairs = {}
        for _ in range(mark & 15):
            key, rest = unpack(rest)
            pairs[key], rest = unpack(rest)
        return pairs, rest
    sizes = {0xD9: 1, 0xDA: 2, 0xDB: 4}
    if mark & 0xE0 == 0xA0 or mark in sizes:
        width = sizes.get(mark, 0)
        size = int.from_bytes(rest[:width], "big") if width else mark & 31
        rest = rest[width:]
        return rest[:size].decode(), rest[size:]
    if mark == 0xCE:
        return int.from_bytes(rest[:4], "big"), rest[4:]
    assert data[:2] == b"\xd7\x00"
    return int.from_bytes(rest[1:5], "big") + int.from_bytes(rest[5:9], "big") / 1e9, rest[9:]


@pytest.mark.parametrize("precise", ["true", "false"])
def test_fluentd(knarr: Knarr, precise: str) -> None:
    option = f"fluentd-sub-second-precision={precise}"
    with receiver("tcp") as sock:
        address = f"fluentd-address=127.0.0.1:{port(sock)}"
        container_id = run(knarr, "fluentd", address, option, "tag=app.{{.Name}}")
        data = received(sock)
    entries = {}
    while data:
        (tag, when, record), data = unpack(data)
        assert tag == "app.one"
        assert abs(time.time() - when) < PATIENCE
        entries[record.pop("log")] = record
    plain = {"container_id": container_id, "container_name": "/one"}
    assert entries["out"] == {**plain, "source": "stdout"}
    assert entries["err"] == {**plain, "source": "stderr"}


def test_fluentd_that_comes_late(knarr: Knarr) -> None:
    path = knarr.directory / "fluent"
    command = ("sh", "-c", "echo early; while :; do sleep 0.1; done")
    options = ("--log-opt", f"fluentd-address=unix://{path}", "--log-opt", "fluentd-async=true")
    start = ("run", "-d", *NONE, "--name", "one", "--log-driver", "fluentd", *options)
    knarr(*start, "busybox", *command)
    with receiver("unix", path) as sock:
        connection, _ = sock.accept()
        with connection:
            assert b"early" in connection.recv(65536)
        knarr("rm", "-f", "one")


@pytest.mark.parametrize("packed", ["gzip", "zlib", "none"])
def test_gelf_over_udp_in_chunks(knarr: Knarr, packed: str) -> None:
    noise = "head -c 6000 /dev/urandom | od -An -tx1 | tr -d ' \\n'; echo"
    with receiver("udp") as sock:
        address = f"gelf-address=udp://127.0.0.1:{port(sock)}"
        run(knarr, "gelf", address, f"gelf-compression-type={packed}", "sh", "-c", noise)
        head = sock.recv(9000)
        assert head[:2] == b"\x1e\x0f"
        chunks = {head[10]: head[12:]}
        while len(chunks) < head[11]:
            chunk = sock.recv(9000)
            assert chunk[:10] == head[:10]
            chunks[chunk[10]] = chunk[12:]
    data = b"".join(chunks[number] for number in sorted(chunks))
    if packed == "gzip":
        data = gzip.decompress(data)
    elif packed == "zlib":
        data = zlib.decompress(data)
    message = json.loads(data)
    assert re.fullmatch("[0-9a-f]{12000}", message["short_message"])
    assert (message["version"], message["level"]) == ("1.1", 6)
    assert (message["_container_name"], message["_image_name"]) == ("one", "busybox")


def test_gelf_over_tcp(knarr: Knarr) -> None:
    with receiver("tcp") as sock:
        run(knarr, "gelf", f"gelf-address=tcp://127.0.0.1:{port(sock)}", *lines(3))
        messages = received(sock).split(b"\0")
    texts = [json.loads(message)["short_message"] for message in messages if message]
    assert texts == ["line 1 of the log", "line 2 of the log", "line 3 of the log"]


def test_what_is_sent_away_is_also_kept_for_logs(knarr: Knarr) -> None:
    with receiver("udp") as sock:
        address = f"syslog-address=udp://127.0.0.1:{port(sock)}"
        run(knarr, "syslog", address)
        assert knarr.do("logs", "one").stdout == "out\nunended"
        run(knarr, "syslog", address, "cache-disabled=true", name="two")
    assert "configured logging driver does not support reading" in knarr.fails("logs", "two")


def test_a_receiver_that_is_not_there_fails_the_start(knarr: Knarr) -> None:
    with receiver("tcp") as sock:
        number = port(sock)
    options = ("--log-driver", "syslog", "--log-opt", f"syslog-address=tcp://127.0.0.1:{number}")
    said = knarr.fails("run", *NONE, "--name", "one", *options, "busybox", "true", status=125)
    assert "failed to initialize logging driver" in said
    assert "Connection refused" in said


def test_a_receiver_that_is_slow_loses_nothing(knarr: Knarr) -> None:
    with receiver("tcp") as sock:
        address = f"syslog-address=tcp://127.0.0.1:{port(sock)}"
        options = ("--log-driver", "syslog", "--log-opt", address)
        words = ("run", "-d", *NONE, "--name", "one", *options, "busybox")
        knarr(*words, "sh", "-c", "seq 100000000000001 100000000400000")
        connection, _ = sock.accept()
        time.sleep(0.5)
        data = bytearray()
        with connection:
            while piece := connection.recv(1 << 20):
                data += piece
    assert data.count(b"\n") == 400000


@pytest.mark.parametrize(
    ("driver", "option", "expected"),
    [
        ("json-file", "syslog-address=x", "unknown log opt 'syslog-address' for json-file log"),
        ("local", "labels=x", "unknown log opt 'labels' for local log driver"),
        ("json-file", "mode=fast", "logger: logging mode not supported: fast"),
        ("json-file", "max-buffer-size=1m", "only supported with 'mode=non-blocking'"),
        ("json-file", "max-file=0", "max-file cannot be less than 1: 0"),
        ("json-file", "compress=maybe", "invalid value 'maybe' of log opt 'compress'"),
        ("syslog", "syslog-address=http://x", "unsupported scheme 'http' in log opt"),
        ("syslog", "syslog-facility=best", "invalid syslog facility: best"),
        ("syslog", "syslog-format=rfc1", "invalid value 'rfc1' of log opt 'syslog-format'"),
        ("gelf", "tag=x", "gelf: missing log opt 'gelf-address'"),
        ("gelf", "gelf-address=udp://host:none", "invalid port 'none' in log opt"),
        ("splunk", "tag=x", 'plugin "splunk" not found'),
    ],
)
def test_what_a_driver_does_not_know_is_refused(
    knarr: Knarr, driver: str, option: str, expected: str
) -> None:
    words = ("run", *NONE, "--log-driver", driver, "--log-opt", option, "busybox", "true")
    assert expected in knarr.fails(*words, status=125)
