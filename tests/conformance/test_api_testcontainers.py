"""Testcontainers for Python against the API: modules with real servers, and what Ryuk does.

Ryuk, which removes what a client that was killed left behind, is an image that no package has. Its
stand-in here speaks its protocol: a filter a line, each acknowledged; once its client has gone, it
removes by the API what the filters name, and ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.serving import Served

pytest.importorskip("testcontainers", reason="testcontainers is not installed")
pytestmark = pytest.mark.root

RYUK = r"""
import http.client, json, socket, socketserver, threading, urllib.parse

class Engine(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/var/run/docker.sock")

def ask(method, path):
    engine = Engine("docker")
    engine.request(method, path)
    return json.loads(engine.getresponse().read() or b"null")

class Client(socketserver.StreamRequestHandler):
    def handle(self):
        try:
            for line in self.rfile:
                key, _, value = line.decode().strip().partition("=")
                filters.append({key: {value: True}})
                self.wfile.write(b"ACK\n")
        except ConnectionResetError:  # killed, with an acknowledgement that it did not read
            pass
        threading.Thread(target=self.server.shutdown).start()

def remove(kind, wanted, key, options):
    query = urllib.parse.urlencode({"filters": json.dumps(wanted), "all": 1})
    found = ask("GET", f"/{kind}?{query}")
    for one in found["Volumes"] if kind == "volumes" else found:
        ask("DELETE", f"/{kind.partition('/')[0]}/{one[key]}{options}")

filters = []
server = socketserver.ThreadingTCPServer(("", 8080), Client)
print("ryuk: Started!", flush=True)
server.serve_forever()
for wanted in filters:
    remove("containers/json", wanted, "Id", "?force=1&v=1")
    remove("networks", wanted, "Id", "")
    remove("volumes", wanted, "Name", "?force=1")
"""
DATABASE = """
bin=$(ls -d /usr/lib/postgresql/*/bin)
echo "$POSTGRES_PASSWORD" >/tmp/password
su postgres -c "$bin/initdb -D /tmp/db -N -U $POSTGRES_USER --auth=scram-sha-256 \
    --pwfile=/tmp/password >/dev/null"
echo "host all all all scram-sha-256" >>/tmp/db/pg_hba.conf
echo "CREATE DATABASE $POSTGRES_DB" |
    su postgres -c "$bin/postgres --single -F -D /tmp/db postgres >/dev/null"
exec su postgres -c "exec $bin/postgres -F -D /tmp/db -c listen_addresses='*' \
    -c unix_socket_directories=/tmp"
"""
MODULES = f"""
import socket
from testcontainers.community.postgres import PostgresContainer
from testcontainers.community.redis import RedisContainer

queue = RedisContainer("guestbook-base")
queue.with_command("redis-server --bind 0.0.0.0 --protected-mode no --save ''")
database = PostgresContainer("guestbook-base", driver=None)
database.with_command(["sh", "-euc", {DATABASE!r}])
with queue, database:
    client = queue.get_client()
    client.set("key", "kept")
    print(client.get("key").decode())
    address = database.get_container_host_ip(), database.get_exposed_port(5432)
    with socket.create_connection(address) as bare:
        bare.sendall(bytes([0, 0, 0, 8, 4, 210, 22, 47]))  # whether it speaks TLS
        assert bare.recv(1) in (b"N", b"S")
    words = "psql -At postgresql://test:test@127.0.0.1/test -c 'SELECT 6 * 7'"
    print(database.exec(["sh", "-c", words]).output.decode().strip())
"""
ABANDONED = """
import time
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

network = Network().create()
container = DockerContainer("busybox").with_command("sleep 1000").with_network(network)
container.with_volume_mapping("kept", "/kept").start()
print("started", flush=True)
time.sleep(1000)
"""


@pytest.fixture
def script(served: Served, guestbook_base: Path) -> Callable[[str], subprocess.Popen[str]]:
    """Return a function that runs a script of Testcontainers against the server."""
    served.knarr("import", str(guestbook_base), "guestbook-base")
    context = served.knarr.directory / "ryuk"
    context.mkdir()
    (context / "ryuk.py").write_text(RYUK)
    dockerfile = 'FROM guestbook-base\nCOPY ryuk.py /\nCMD ["python3", "/ryuk.py"]\n'
    (context / "Dockerfile").write_text(dockerfile)
    done = served.knarr.do("build", "--tag", "ryuk", str(context))
    assert done.returncode == 0, done.stderr
    environment = {
        **os.environ, "DOCKER_HOST": f"unix://{served.path}", "RYUK_CONTAINER_IMAGE": "ryuk",
        "TESTCONTAINERS_DOCKER_SOCKET_OVERRIDE": served.path,
        "DOCKER_CONFIG": str(served.knarr.directory / "docker-config"),
    }  # fmt: skip

    def run(text: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(text)], env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    return run


def names(served: Served) -> list[str]:
    return [each["Names"][0] for each in served.get("/containers/json?all=1")]


def test_modules_with_real_servers(
    served: Served, script: Callable[[str], subprocess.Popen[str]]
) -> None:
    with script(MODULES) as running:
        output, errors = running.communicate(timeout=120)
    assert running.returncode == 0, errors
    assert output == "kept\n42\n"
    served.knarr.wait_until(lambda: names(served) == [])


def test_ryuk_removes_what_a_client_that_is_killed_left(
    served: Served, script: Callable[[str], subprocess.Popen[str]]
) -> None:
    with script(ABANDONED) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        started = running.stdout.readline() == "started\n"
        if started:
            assert len(names(served)) == 2
        running.kill()
        assert started, running.stderr.read()
    served.knarr.wait_until(lambda: names(served) == [], timeout=30)
    networks = {network["Name"] for network in served.get("/networks")}
    assert networks == {"bridge", "host", "none"}
