"""What `engine.networks` is made of: sandboxes and their records, bridges, ports and rules.

Start with `sandboxes`.
"""
