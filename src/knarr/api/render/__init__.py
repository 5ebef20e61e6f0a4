"""The engine's values as documents of the API. Pure: no input, no output."""
