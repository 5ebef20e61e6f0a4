"""What knarr remembers: blobs by digest, and the database of all that can be listed.

Owns the OCI layout below `images/`, `knarr.db`, and the journal of unfinished work. Never knows
what a record means to Docker's users. Start with `database`.
"""
