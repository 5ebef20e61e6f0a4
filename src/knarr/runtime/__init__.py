"""The OCI runtime: a bundle becomes a process.

Owns the plan of a container (namespaces, mounts, cgroups, credentials), its init and further
processes. Alone it is the command `knarr-runtime`. Knows bundles, never images. Start with `plan`.
"""
