"""The rules of explanations: what they promise of themselves, and what they say of facts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from knarr.engine.events import Event
from knarr.engine.explaining import facts as kinds
from knarr.engine.explaining import history, kernel, sockets
from knarr.engine.explaining.explain import ALL_RULES, LOOP, explain, explain_refusal
from knarr.engine.explaining.facts import Bind, Facts, Port, Program, Shortage
from knarr.engine.explaining.programs import read_elf
from knarr.engine.explaining.rules import PROBABLY, Rule
from support import tinyelf

PAGE = Path(__file__).parents[3] / "docs" / "explain.md"
ROW = re.compile(r"^\| `([\w-]+)` \| (.*) \| (.*) \| (.*) \|$", re.MULTILINE)


def row(rule: Rule) -> tuple[str, str, str, str]:
    certain = "certain" if rule.certain else PROBABLY
    return rule.cause, rule.about, certain, "yes" if rule.aloud else ""


def test_the_page_has_every_cause() -> None:
    written = ROW.findall(PAGE.read_text())
    assert [line for line in written if line[0] != LOOP] == [row(rule) for rule in ALL_RULES]
    assert LOOP in {line[0] for line in written}


def test_every_cause_has_one_rule() -> None:
    causes = [rule.cause for rule in ALL_RULES]
    assert len(causes) == len(set(causes))


@pytest.mark.parametrize("rule", ALL_RULES, ids=lambda rule: rule.cause)
def test_a_rule_says_how_sure_it_is_in_one_sentence(rule: Rule) -> None:
    assert (PROBABLY in rule.says) != rule.certain
    assert rule.says.endswith((".", '".'))
    assert not re.search(r"\. [A-Z]", rule.says), "one sentence"
    assert rule.fix == "" or rule.fix[0].isupper() or rule.fix[0] == "{"
    assert rule.certain or not rule.aloud, "aloud is what is certain"


def cause(**fields: object) -> str:
    return explain(Facts(**fields)).cause  # type: ignore[arg-type]


def test_what_is_proved_comes_before_what_was_said() -> None:
    log = ("open: Permission denied",)
    assert cause(exit_code=1, log=log, numbers=(1000, 1000)) == "denied"
    assert cause(exit_code=139, signal=11, log=log, numbers=(1000, 1000)) == "segmentation-fault"
    # But who gives up says why.
    assert cause(exit_code=134, signal=6, log=("No space left on device",)) == "disk-was-full"
    assert cause(exit_code=134, signal=6, log=("terminate called",)) == "aborted"
    assert cause(exit_code=0, log=log) == "done"


def test_old_lines_of_a_log_are_not_the_end() -> None:
    log = ("bind: Address already in use", *["waiting"] * 8)
    assert cause(exit_code=1, log=log) == "own-status-saying"


def test_memory() -> None:
    base = {"exit_code": 137, "signal": 9, "oom_killed": True}
    limited, whole = Shortage("sh", 7, 64 << 20), Shortage("sh", 7, 64 << 20, limited=False)
    assert cause(**base, memory_limit=64 << 20, shortage=limited) == "memory-limit"
    assert cause(**base, memory_limit=64 << 20, shortage=whole) == "memory-of-host"
    assert cause(**base, memory_limit=64 << 20) == "memory-short"
    assert cause(**base) == "memory-of-host"
    text = explain(Facts(**base, memory_limit=64 << 20, shortage=limited)).text  # type: ignore[arg-type]
    assert "sh, which held 64MiB" in text
    assert "-m 128m" in text
    created = {"status": "created", "memory_limit": 6 << 20, "exit_code": 128}
    assert cause(**created, error="the container's init was killed before it was ready") == (
        "memory-too-small"
    )


def test_exit_codes_prove_no_signal() -> None:
    for code, name in ((139, "segmentation-fault"), (134, "aborted"), (159, "call-forbidden")):
        assert cause(exit_code=code) == f"{name}-inside"
    for code, name in ((130, "interrupted"), (143, "terminated"), (129, "terminal-closed")):
        assert cause(exit_code=code) == f"{name}-by-code"
        assert cause(exit_code=code, signal=code - 128) == name
    assert cause(exit_code=255) == "own-status"


def test_who_shares_processes_may_be_killed_by_others() -> None:
    assert cause(exit_code=137, signal=9) == "killed-from-outside"
    assert cause(exit_code=137, signal=9, own_processes=False) == "killed-inside"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (("nginx",), "went-to-background"),
        (("/usr/sbin/nginx", "-g", "daemon off;"), "done"),
        (("/bin/sh", "-c", "nginx"), "went-to-background"),
        (("sh", "-c", "nginx -g 'daemon off;'"), "done"),
        (("/bin/sh", "-c", "service nginx start"), "went-to-background"),
        (("sshd", "-D"), "done"),
        (("make", "nginx"), "done"),
    ],
)
def test_servers_that_leave_the_foreground(command: tuple[str, ...], expected: str) -> None:
    assert cause(command=command, lasted=1.0) == expected


def test_a_failed_start_again_is_explained_by_its_error() -> None:
    program = Program("app", kind=kinds.MISSING)
    facts = {"exit_code": 127, "error": 'exec: "app": executable file not found in $PATH'}
    assert cause(**facts, program=program) == "program-missing"
    assert cause(exit_code=1, error="cannot record the exit: no space") == "own-status"
    assert cause(status="created", error="some new trouble") == "could-not-start"


def test_a_loop() -> None:
    found = explain(Facts(status="restarting", exit_code=3, restart_count=1, next_start=0.5))
    assert found.cause == LOOP
    assert "again 1 time " in found.sentence
    assert "next in 500 ms" in found.sentence
    assert cause(exit_code=3, restart_count=2) == "own-status"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("no command specified", "no-command"),
        ("minimum memory limit allowed is 6MB", "memory-below-minimum"),
        ("cannot mkdir: /etc/passwd is not a directory", "working-directory-is-a-file"),
    ],
)
def test_refusals(error: str, expected: str) -> None:
    found = explain_refusal(Facts(status="", error=error))
    assert found
    assert found.cause == expected
    assert explain_refusal(Facts(status="", error="invalid reference format")) is None


def test_the_deepest_mount_is_meant() -> None:
    binds = (Bind("/data", "/a"), Bind("/data/db", "/b", (5, 5), 0o700))
    log = ("mkdir: can't create directory '/data/db/x': Permission denied",)
    found = explain(Facts(exit_code=1, numbers=(1000, 1000), binds=binds, log=log))
    assert found.cause == "mount-denied"
    assert "/b of the host" in found.sentence


def test_words_of_programs_are_no_templates() -> None:
    found = explain(Facts(exit_code=1, log=("KeyError: {f.name} {0} %s",)))
    assert "{f.name} {0} %s" in found.sentence


def test_deaf_ports() -> None:
    facts = Facts(status="running", ports=(Port(80), Port(53, "udp")), listening=(("::", 80),))
    assert explain(facts).cause == "running"
    assert explain(facts.replace(listening=(("127.0.0.1", 80),))).cause == "listens-on-loopback"
    assert explain(facts.replace(listening=(("0.0.0.0", 81),))).cause == "nothing-listens"
    assert explain(facts.replace(listening=None)).cause == "running"


# what facts are made from


def test_the_last_run_counts() -> None:
    def event(seconds: int, action: str, **attributes: str) -> Event:
        return Event(seconds * 10**9, "container", action, "id", attributes)

    events = [
        event(1, "start"), event(2, "kill", signal="9"), event(2, "stop"), event(3, "start"),
        event(5, "health_status: unhealthy"), event(6, "kill", signal="15"), event(9, "die"),
    ]  # fmt: skip
    found = history.judge(iter(events), 9 * 10**9)
    assert found == {"sent": ((15, 3.0),), "stopped": False, "turned_unhealthy": 4.0}
    assert history.judge(iter(()), 0)["sent"] == ()


def test_the_kernel_s_log(tmp_path: Path) -> None:
    lines = [
        "6,1,1,-;oom-kill:constraint=CONSTRAINT_MEMCG,task_memcg=/knarr/abc,task=sh,pid=7,uid=0",
        (
            "3,2,1,-;Memory cgroup out of memory: Killed process 7 (sh) total-vm:9kB,"
            " anon-rss:40kB, file-rss:24kB, shmem-rss:0kB, UID:0"
        ),
        "3,3,1,-;Out of memory: Killed process 8 (other) total-vm:9kB, anon-rss:1kB",
    ]
    path = tmp_path / "kmsg"
    for number in (1, 2, 3):  # the device gives a record a read, a file all of it
        path.write_text(lines[number - 1])
        found = kernel.shortage_of("abc", str(path))
        assert (found is not None) == (number == 1)
    assert kernel.judge((line.partition(";")[2] for line in lines), "abc") == Shortage(
        "sh", 7, 64 << 10
    )
    assert kernel.shortage_of("abc", str(tmp_path / "nosuch")) is None


def test_elf_files() -> None:
    assert read_elf(tinyelf.program()) == ("amd64", "")
    assert read_elf(tinyelf.program(loader="/lib/ld.so")) == ("amd64", "/lib/ld.so")
    assert read_elf(tinyelf.program(machine=tinyelf.ARM64))[0] == "arm64"
    assert read_elf(b"\x7fELF")[0] == "damaged"


def test_addresses_of_sockets() -> None:
    assert sockets.parse_address("0100007F:1F90") == ("127.0.0.1", 8080)
    assert sockets.parse_address("00000000000000000000000000000000:0050") == ("::", 80)
    assert sockets.parse_address("0000000000000000FFFF00000100007F:0050") == ("127.0.0.1", 80)
