"""The Docker Engine API: `knarr serve`.

Owns listening, routes, requests and answers. Never decides what a verb means: that is `engine`.

    server        listens, and gives each connection a thread
    connection    bytes <-> `call.Call` and the kinds of `answers`
    routes        the table: method, path, since when, handler
    handlers/*    one function an operation: a `Call` in, an answer out
    parse, render Docker's documents <-> the engine's values
    versions      what is different for older clients
    faults        the engine's errors as statuses and Docker's words

Start with `connection`.
"""
