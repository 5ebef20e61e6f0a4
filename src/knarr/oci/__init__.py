"""The documents of the field: parse, validate, render. No I/O.

Owns digests, references, descriptors, manifests, image configs, the layout of a store on disk, the
runtime's config.json and Docker's default seccomp profile. Raw bytes stay beside the parsed form,
since a digest is of bytes. Start with `digest` and `reference`.
"""
