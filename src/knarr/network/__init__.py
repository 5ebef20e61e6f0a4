"""Networks, addresses, ports and names.

Owns the plan of a sandbox (links, addresses, routes, firewall) and carrying it out. Knows
sandboxes and endpoints, never containers or users. Start with `model`.
"""
