"""Containers side by side, looked at and led through their life: acts 3 to 5."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from story import free_port

if TYPE_CHECKING:
    from story import Story


def run(story: Story) -> int:
    """Act 3: three containers of one image, each for itself. Return the first one's port."""
    story.title("3. Run")
    first = free_port(8080)
    second = free_port(first + 1)
    third = free_port(second + 1)
    printed = story.do(f"knarr run -d -p {first}:80 --name my-container my-image")
    story.check(re.fullmatch("[0-9a-f]{64}", printed), "run -d prints the full ID and returns")
    page = story.get(first)
    story.check(page.startswith(f"greetings from {printed[:12]}"), "the page is the container's")
    story.check(page.endswith("visit 1"), "and this is its first visit")
    story.do(f"knarr run -d -p {second}:80 --name second --hostname two my-image")
    story.do(f"knarr run -d -p 127.0.0.1:{third}:80 --name third -e PLACE=here my-image")
    story.check(
        story.get(second).startswith("greetings from two, visit 1"), "a hostname of its own"
    )
    story.check("visit 1" in story.get(third), "files of its own: nobody has been here")
    story.check("visit 2" in story.get(first), "while the first one goes on counting")
    _isolation(story)
    return first


def _isolation(story: Story) -> None:
    story.do("knarr exec second sh -c 'echo mine > /only-here'")
    story.do("knarr exec my-container cat /only-here", status=1)
    listed = story.do("knarr run --rm my-image ls /app")
    story.check(listed == "app.py", "what containers write is not in the image")
    ours, theirs = (
        story.do(f"knarr inspect -f '{{{{.NetworkSettings.IPAddress}}}}' {name}")
        for name in ("my-container", "second")
    )
    story.check(ours and theirs and ours != theirs, "every container has an address of its own")
    fetched = story.do(f"knarr exec my-container wget -q -O - http://{theirs}/")
    story.check("greetings from two" in fetched, "and they reach each other")
    processes = story.do("knarr exec second sh -c 'ls -d /proc/[0-9]*'")
    story.check(processes.startswith("/proc/1\n") and processes.count("\n") < 5,
                "a container sees its own processes alone")  # fmt: skip


def look(story: Story, port: int) -> None:
    """Act 4: everything one asks of a running container."""
    story.title("4. Look at containers")
    story.do("knarr run --name short my-image sh -c 'echo done; exit 7'", status=7)
    listed = story.do("knarr ps")
    story.check(f"0.0.0.0:{port}->80/tcp" in listed and "short" not in listed, "ps lists what runs")
    every = story.do("knarr ps -a")
    story.check("Exited (7)" in every, "ps -a also what has ended, with its exit status")
    names = story.do("knarr ps --filter name=second --format '{{.Names}}: {{.Status}}'")
    story.check(names.startswith("second: Up "), "filters and Go templates")
    story.check("serving on port 80" in story.do("knarr logs my-container"), "logs")
    _follow(story, port)
    story.check(story.do("knarr exec -e A=b -w /app my-container sh -c 'echo $A $PWD'") == "b /app",
                "exec, with environment and directory")  # fmt: skip
    session = story.type("knarr exec -it my-container sh", ["tty", "stty size", "exit 3"])
    story.check("/dev/pts/0" in session, "exec -it has a terminal")
    _facts(story, port)


def _follow(story: Story, port: int) -> None:
    process = story.follow("knarr logs -f my-container", "serving on port 80")
    story.get(port)
    story.expect_line(process, '"GET / HTTP/1.1" 200')
    process.terminate()
    process.wait()
    story.check("so", "logs -f shows what comes while it comes")


def _facts(story: Story, port: int) -> None:
    changes = story.do("knarr diff my-container")
    story.check("A /app/visits" in changes and "C /app" in changes, "diff lists what was written")
    story.check(story.do("knarr port my-container").startswith(f"80/tcp -> 0.0.0.0:{port}"), "port")
    document = json.loads(story.do("knarr inspect my-container", quiet=True))[0]
    story.check(document["State"]["Status"] == "running", "inspect")
    processes = story.do("knarr top my-container")
    story.check("python3 /app/app.py" in processes, "top")
    story.do("knarr rename third number-three")
    story.check("number-three" in story.do("knarr ps --format '{{.Names}}'").split(), "rename")
    story.do("knarr stop -t 2 number-three")
    story.check(story.do("knarr wait number-three") == "0", "wait gives the exit status")


def live(story: Story) -> None:
    """Act 5: created, started, stopped, started again, killed, removed; and exit statuses."""
    story.title("5. A container's life")
    loop = 'echo started >> /log; trap "exit 0" TERM; while :; do sleep 0.1; done'
    story.do(f"knarr create --name life my-image sh -c '{loop}'")
    _status(story, "created", 0)
    story.check(story.do("knarr start life") == "life", "start prints the name")
    _status(story, "running", 0)
    story.do("knarr stop life")
    _status(story, "exited", 0)
    story.do("knarr start life")
    story.do("knarr restart life")
    story.check(story.do("knarr exec life grep -c started /log") == "3", "its files are kept")
    refused = story.do("knarr rm life", status=1)
    story.check("stop the container before removing or force remove" in refused,
                "rm refuses a running container")  # fmt: skip
    story.do("knarr kill life")
    _status(story, "exited", 137)
    story.check(story.do("knarr rm life") == "life", "rm")
    story.do("knarr run -d --name stubborn my-image sleep 600")
    story.do("knarr stop -t 1 stubborn")
    _status(story, "exited", 137, name="stubborn")
    story.do("knarr start stubborn")
    story.do("knarr rm -f stubborn second number-three short")
    story.tell("exit statuses")
    for command, status in (
        ("my-image true", 0),
        ("my-image false", 1),
        ("--no-such-flag my-image", 125),
        ("no-such-image:1", 125),
        ("my-image /etc/passwd", 126),
        ("my-image no-such-program", 127),
        ("--init my-image sh -c 'kill -TERM $$'", 143),
        ("my-image sh -c 'sh -c \"kill -KILL \\$\\$\"'", 137),
    ):
        story.do(f"knarr run --rm {command}", status=status)
    story.check("so", "exit statuses are Docker's")


def _status(story: Story, status: str, code: int, *, name: str = "life") -> None:
    form = "{{.State.Status}} {{.State.ExitCode}}"
    story.check(story.do(f"knarr inspect -f '{form}' {name}") == f"{status} {code}",
                f"it is {status}, exit code {code}")  # fmt: skip
