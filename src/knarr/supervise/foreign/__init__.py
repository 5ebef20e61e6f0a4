"""Containers that another OCI runtime makes: crun, runc, or a program by its path.

Owns how such a runtime is called, what is mounted for it, and the run of a container by it. Loaded
for these containers alone. Start with `run`.
"""
