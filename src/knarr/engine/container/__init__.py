"""The verbs of one container, from create to rm, and what each needs.

Owns the runtime spec of a container (`specify`, pure), its start and its end, its state, its
documents. Never talks to a person. The face is `engine.containers`; start with `creating`, `tasks`.
"""
