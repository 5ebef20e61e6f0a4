"""What a network costs: on the way of packets, in questions for names, and in starts.

    python -m benchmarks.network                  # a table in Markdown
    python -m benchmarks.network --seconds 1 --rounds 3

Everything happens in a network namespace of its own that plays the host, with a second one that
plays a machine beside it: published ports are reached from there. Docker has a daemon with its
usual bridge in it. Each engine takes its turn in every round; the best counts.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks import traffic
from benchmarks.engines import (
    APPLETS,
    IMAGE,
    Docker,
    Engine,
    Knarr,
    make_rootfs,
    taking_part,
    workplace,
)
from knarr.linux import namespaces, netlink, rtnetlink
from knarr.linux.rtnetlink import Peer

HOST, BESIDE = "192.0.2.2", "192.0.2.1"
PUBLISHED = 18_000
AT_ONCE = 50
_IDLE = ("sleep", "600")


class NetworkedDocker(Docker):
    """Docker with its bridge and rules, in the namespace of whoever starts it."""

    network_words = ()


class Host:
    """No engine: the namespace of the host itself, to compare with."""

    name = "the host itself"


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.network", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2, help="how long traffic is measured")
    parser.add_argument("--rounds", type=int, default=3, help="how often traffic is measured")
    parser.add_argument("--starts", type=int, default=15, help="how often `run` is measured")
    options = parser.parse_args()
    with workplace() as work:
        return _run(work, options)


def _run(work: Path, options: argparse.Namespace) -> int:
    beside = _move_into_a_world()
    make_rootfs(work / "rootfs", APPLETS)
    try:
        with taking_part((Knarr, NetworkedDocker), work) as engines:
            names = [engine.name for engine in engines]
            print(f"\n| | {' | '.join(names)} | {Host.name} |\n|---{'|--:' * (len(names) + 1)}|")
            _traffic(engines, beside, options)
            _starts(engines, options)
            _starts_at_once(engines)
    finally:
        beside.kill()
    return 0


def _move_into_a_world() -> subprocess.Popen[bytes]:
    """Be in a namespace that plays the host; return a process in one beside it."""
    namespaces.unshare(namespaces.CLONE_NEWNET)
    beside = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
    own = os.readlink("/proc/self/ns/net")
    while os.readlink(f"/proc/{beside.pid}/ns/net") == own:
        time.sleep(0.01)
    there = os.open(f"/proc/{beside.pid}/ns/net", os.O_RDONLY)
    _link_up("up0", HOST, Peer("w0", netns_fd=there))
    with namespaces.InNetwork(there):
        _link_up("w0", BESIDE)
    os.close(there)
    return beside


def _link_up(name: str, address: str, peer: Peer | None = None) -> None:
    with netlink.Socket(netlink.NETLINK_ROUTE) as kernel:
        if peer is not None:
            kernel.request(rtnetlink.new_veth(name, peer, mtu=1500))
        link = rtnetlink.find_link(kernel, name)
        assert link is not None
        kernel.request(
            rtnetlink.set_link("lo up", 1, up=True),
            rtnetlink.set_link(f"{name} up", link.index, up=True),
            rtnetlink.add_address(link.index, address, 24),
        )


def _row(title: str, cells: list[str]) -> None:
    print(f"| {title} | {' | '.join(cells)} |", flush=True)


# traffic


class Way:
    """From one namespace to a server in another: files of both, and where the server is."""

    def __init__(self, client: str, server: str, address: str, ports: tuple[int, int]) -> None:
        self.client = client
        self.server = server
        self.address = address
        self.ports = ports

    def measure(self, what: str, seconds: float) -> float:
        """Return MB a second (`flood`) or connections a second (`knock`)."""
        port = self.ports[0 if what == "flood" else 1]
        return _tool(self.client, what, self.address, str(port), str(seconds))


def _tool(netns: str, *words: str) -> float:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.traffic", netns, *words],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return float(done.stdout)


def _traffic(
    engines: list[Engine], beside: subprocess.Popen[bytes], options: argparse.Namespace
) -> None:
    """Print the rows of what goes through networks and to published ports."""
    outside = f"/proc/{beside.pid}/ns/net"
    own = (traffic.TAKES, traffic.ANSWERS)
    between: list[Way] = []
    published: list[Way] = []
    for number, engine in enumerate(engines):
        ports = (PUBLISHED + 2 * number, PUBLISHED + 2 * number + 1)
        pairs = zip(ports, own, strict=True)
        words = [word for outer, inner in pairs for word in ("-p", f"{outer}:{inner}")]
        engine.call("network", "create", "measured")
        engine.call(
            "run", "-d", "--name", "server", "--network", "measured", *words, IMAGE, *_IDLE
        )  # fmt: skip
        engine.call("run", "-d", "--name", "client", "--network", "measured", IMAGE, *_IDLE)
        form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        address = engine.call("inspect", "--format", form, "server")
        server, client = (_netns(engine, name) for name in ("server", "client"))
        between.append(Way(client, server, address, own))
        published.append(Way(outside, server, HOST, ports))
    here = f"/proc/{os.getpid()}/ns/net"
    between.append(Way(here, here, "127.0.0.1", own))
    published.append(Way(outside, here, HOST, own))
    servers = [_server(way.server) for way in between]
    try:
        for title, ways, what in (
            ("between two containers, MB/s", between, "flood"),
            ("… connections with an answer, a second", between, "knock"),
            ("published port, from another machine, MB/s", published, "flood"),
            ("… connections with an answer, a second", published, "knock"),
        ):
            best = [0.0] * len(ways)
            for _ in range(options.rounds):
                for number, way in enumerate(ways):
                    best[number] = max(best[number], way.measure(what, options.seconds))
            _row(title, [f"{figure:.0f}" for figure in best])
        rates = [
            max(_tool(way.client, "ask", "server", str(options.seconds)) for _ in range(3))
            for way in between[:-1]
        ]
        _row("questions for a neighbour's name, a second", [*(f"{r:.0f}" for r in rates), ""])
        _row("… milliseconds each", [*(f"{1e3 / rate:.2f}" for rate in rates), ""])
    finally:
        for one in servers:
            one.kill()
        for engine in engines:
            engine.call("rm", "-f", "server", "client")


def _netns(engine: Engine, name: str) -> str:
    return f"/proc/{engine.call('inspect', '--format', '{{.State.Pid}}', name)}/ns/net"


def _server(netns: str) -> subprocess.Popen[bytes]:
    started = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.traffic", netns, "serve"], stdout=subprocess.PIPE
    )
    assert started.stdout is not None
    assert started.stdout.readline() == b"ready\n"
    return started


# starts


def _starts(engines: list[Engine], options: argparse.Namespace) -> None:
    """Print what `run` takes without a network and with a bridge."""
    modes = ("none", "bridge")
    best: dict[tuple[str, str], float] = {}
    for number in range(options.starts + 1):
        for engine in engines:
            for mode in modes:
                argv = engine.run("--rm", "--network", mode, IMAGE, "true")
                taken, _ = engine.timer.take(argv, str(engine.work))
                if number:  # the first one warms up
                    key = (engine.name, mode)
                    best[key] = min(best.get(key, taken), taken)
    for mode in modes:
        figures = [f"{best[engine.name, mode] * 1e3:.1f}" for engine in engines]
        _row(f"`run --rm --network {mode} true`, ms, least", [*figures, ""])
    share = [(best[e.name, "bridge"] - best[e.name, "none"]) * 1e3 for e in engines]
    _row("… what the bridge takes of it, ms", [*(f"{one:.1f}" for one in share), ""])


def _starts_at_once(engines: list[Engine]) -> None:
    """Print how long it takes until fifty containers run that were started together."""
    figures = []
    for engine in engines:
        argv = engine.run("-d", "--network", "measured", IMAGE, *_IDLE)
        begun = time.monotonic()
        processes = [
            subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for _ in range(AT_ONCE)
        ]
        failed = sum(process.wait() != 0 for process in processes)
        figures.append(f"{time.monotonic() - begun:.1f}" + (f", {failed} failed" if failed else ""))
    _row(f"{AT_ONCE} `run -d` at once on one network, seconds in all", [*figures, ""])


if __name__ == "__main__":
    sys.exit(main())
