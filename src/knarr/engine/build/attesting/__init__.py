"""What is attested of an image: how it was built (provenance), what is in it (an SBOM).

Start with `statements`.
"""
