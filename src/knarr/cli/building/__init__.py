"""What `knarr build` reads from its options: outputs, caches, what is called.

Start with `fields`, the grammar that most of them share.
"""
