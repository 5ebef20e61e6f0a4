"""The guest book's page: GET shows the entries, POST puts one into the queue."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg2
import redis


def entries() -> list[str]:
    """Return what the database has."""
    with open("/run/secrets/password", encoding="utf-8") as file:
        password = file.read().strip()
    database = psycopg2.connect(host="db", user="postgres", dbname="postgres", password=password)
    with database, database.cursor() as cursor:
        cursor.execute("SELECT words FROM entries ORDER BY id")
        found = [words for (words,) in cursor.fetchall()]
    database.close()
    return found


class Page(BaseHTTPRequestHandler):
    """Answers a request."""

    def do_GET(self) -> None:
        with open("/etc/title", encoding="utf-8") as file:
            title = file.read().strip()
        self.answer(200, "\n".join([title, *entries(), ""]))

    def do_POST(self) -> None:
        words = self.rfile.read(int(self.headers["Content-Length"]))
        redis.Redis("queue").lpush("entries", words)
        self.answer(202, "thank you\n")

    def answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())


print("serving", flush=True)
ThreadingHTTPServer(("", 8000), Page).serve_forever()
