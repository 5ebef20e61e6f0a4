"""One module a noun, one function an operation: `def create(call: Call) -> Answer`.

A handler reads the call, asks the engine, and returns a value of `knarr.api.answers`. What goes
wrong it raises, as the engine does (`knarr.errors`). It decides nothing that the engine could.
"""
