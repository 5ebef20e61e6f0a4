"""What a terminal shows while something takes time.

Owns progress and colour. Never decides anything. Start with `progress`.
"""
