"""The verbs, one module a noun: the only home of Docker's semantics.

Joins the mechanisms below into images, containers, networks, volumes and builds. Never prints,
never exits. Start with `engine`, which wires everything.
"""
