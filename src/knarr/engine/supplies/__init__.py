"""What a container is given from elsewhere: volumes of other containers, secrets, devices by CDI.

Owns finding it and putting it into the container's options or its spec. Nothing here is loaded for
containers that ask for none of it. Start with the module that the option is named after.
"""
