"""systemd as the manager of cgroups: a container is a scope unit, made and limited by its calls.

Loaded only when `--systemd-cgroup` asks for it. Start with `scopes`.
"""
