"""`python -m knarr`: the command line, where no script `knarr` is on the path."""

from __future__ import annotations

from knarr.cli.main import main

if __name__ == "__main__":
    main()
