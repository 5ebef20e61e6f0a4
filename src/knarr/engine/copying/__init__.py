"""Files into containers and out of them: `knarr cp`, and what an API's /archive stands on.

Owns the view of a container's files with all its mounts, Docker's rules about where things end up,
and archives as the form in which everything travels. Never talks to a person. Start with `archive`.
"""
