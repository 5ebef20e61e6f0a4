"""Why a container does not reach another one, or the world; or is not reached at its ports.

Owns the way of a connection as facts, looked at stage by stage, and the reasons for which it ends
somewhere, which are data. It connects, and asks for names, from inside the container, and changes
nothing. Start with `walk`.
"""
