"""Go's text/template, which is the language of Docker's `--format`.

Owns parsing and rendering of templates, and how Go prints values. Never knows what the data is
about. Start with `template`.
"""
