"""The command line: Docker's verbs and flags, in the caller's own process.

Owns options, output and exit statuses. Never decides what a verb means. Start with `main`.
"""
