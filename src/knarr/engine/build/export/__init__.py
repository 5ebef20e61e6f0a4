"""What becomes of the result of a build: an image, its manifests, files, and where each goes.

Start with `outputs`. `composing` makes the documents around layers that a place gets.
"""
