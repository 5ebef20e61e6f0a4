"""One process a container: stdio, log, exit status, restarts, health, attach.

Owns the supervisor process and the protocol that clients speak with it. Never opens the database.
Start with `supervisor`; clients start with `control`.
"""
