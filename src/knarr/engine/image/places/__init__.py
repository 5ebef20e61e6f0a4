"""Image places: where images can be had from and given to, all with the same five methods.

Owns the local store, OCI layouts and the archives of `docker save` as places. Start with `place`;
`knarr.engine.image.transfer` moves images between any two.
"""
