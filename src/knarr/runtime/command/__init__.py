"""The command `knarr-runtime`: runc's command line on top of the runtime.

Owns the words of the command line, the state directory with one entry a container, and what is
printed. Never touches the kernel on its own account. Start with `state`.
"""
