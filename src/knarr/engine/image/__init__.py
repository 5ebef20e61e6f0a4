"""What `engine.images` is made of: documents, filters, removal, ways in and out of the store.

Start with `transfer`, which copies an image from one place to another, and `places`.
"""
