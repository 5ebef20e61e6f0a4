"""What `knarr build` has beyond plain options: outputs, calls, agents, the shell in a failed step.

Start with `outputs`. The grammar of most of it is `knarr.engine.build.words`, which the API shares.
"""
