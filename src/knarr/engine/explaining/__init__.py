"""Why a container ended, could not be started, or does not do well: a sentence, and what to do.

Owns the facts that are looked at and the rules that turn them into words, which are data. It never
changes anything, and no command that succeeds loads it. Start with `explain`.
"""
