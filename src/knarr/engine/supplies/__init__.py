"""What a container is given from elsewhere, one module a kind.

    inherited   volumes of other containers: `--volumes-from`
    links       names and variables of other containers: `--link`
    secrets     files and variables that nothing else shows: `--secret`
    cdi         devices that a vendor describes
    apisocket   the socket of `knarr serve`

Owns finding it and putting it into the container's options or its spec. Nothing here is loaded for
containers that ask for none of it.
"""
