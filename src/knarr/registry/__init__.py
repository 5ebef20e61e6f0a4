"""What others hold: the distribution protocol.

Owns the client, authentication, hosts and transfer. Never writes to the store. Start with `client`.
"""
