"""Helpers that never heard of containers.

Owns values, clean-up stacks, atomic files and locks, and the codecs of formats that are not the
field's own (tar, Go's templates, sizes and durations as people write them). Files are opened in
`files`, `eventlog` and `tomlfile` alone; the codecs get open ones. Start with `value`.
"""
