"""One file a command: its options as data, and what it prints."""
