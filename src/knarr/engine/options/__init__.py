"""What the user asked for at create: Docker's Config and HostConfig, as values.

Owns the values, their form in the database, and the small pure parsers of what people type
(`-v a:b:ro`, `--ulimit nofile=1024`), with Docker's words for what is wrong. Never looks at the
host: what a value means is decided in `engine.container`. Start with `values`.
"""
