"""BuildKit's protocols, for buildx, Compose and old docker command lines: gRPC over one connection.

Owns the messages, the sessions by which clients offer files, secrets and credentials, and the
services that take a build. The builder is knarr's own; only what the Dockerfile front end is asked
for is understood. Start with `control`.
"""
