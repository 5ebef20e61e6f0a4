"""The names that a container asks for: who answers them, and what an answer lets it connect to.

Start with `resolver`.
"""
