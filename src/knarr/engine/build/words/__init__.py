"""The words in which people and programs ask for outputs, caches and attestations of a build.

Owns their grammar, `KEY=VALUE,…`, and what each key means; never looks at files. Start with
`fields`.
"""
