"""Dockerfile to graph to image.

Owns the language (`dockerfile`), the content-addressed graph, the cache and the solver. What it
needs of the engine it asks for as the Protocol in `worker`. Start with `graph`.
"""
