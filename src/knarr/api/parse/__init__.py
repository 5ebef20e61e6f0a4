"""Documents of the API as the engine's options, with Docker's words for what is wrong. Pure."""
