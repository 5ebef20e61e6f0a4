"""A page that says which container it comes from, and how often it was asked for."""

from __future__ import annotations

import os
import signal
import socket
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

VISITS = "/app/visits"


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        count = 1
        if os.path.exists(VISITS):
            with open(VISITS) as file:
                count = int(file.read()) + 1
        with open(VISITS, "w") as file:
            file.write(str(count))
        body = f"hello from {socket.gethostname()}, visit {count}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def stop(*_: object) -> None:
    print("stopping", flush=True)
    sys.exit(0)


signal.signal(signal.SIGTERM, stop)
print("serving on port 80", flush=True)
HTTPServer(("", 80), Page).serve_forever()
