"""What `engine.volumes` is made of: directories, names, copies of volumes, what else they can be.

Start with `directories`.
"""
