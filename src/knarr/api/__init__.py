"""The Docker Engine API: `knarr serve`.

Owns routes, requests and answers. Never decides what a verb means. Start with `server`.
"""
