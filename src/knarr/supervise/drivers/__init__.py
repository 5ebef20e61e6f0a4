"""Log drivers that few containers have: each a module, loaded when an order names it.

Each has a function `open_log(options, loop)`. What sends messages elsewhere stands on `shipper`.
"""
