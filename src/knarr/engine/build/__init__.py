"""The engine's side of a build: contexts, steps in containers, layers, and what a kill leaves.

Start with `worker`, which is what `knarr.build` asks of an engine.
"""
