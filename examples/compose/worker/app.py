"""The guest book's clerk: takes entries out of the queue and writes them into the database."""

from __future__ import annotations

import psycopg2
import redis

with open("/run/secrets/password", encoding="utf-8") as file:
    PASSWORD = file.read().strip()

queue = redis.Redis("queue")
database = psycopg2.connect(host="db", user="postgres", dbname="postgres", password=PASSWORD)
database.autocommit = True
print("waiting for entries", flush=True)
while True:
    _, words = queue.brpop("entries")
    with database.cursor() as cursor:
        cursor.execute("INSERT INTO entries (words) VALUES (%s)", (words.decode(),))
    print("wrote one", flush=True)
