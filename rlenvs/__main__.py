"""Entry point of `python -m rlenvs`, the same as the `rlenvs` command."""

import sys

from rlenvs.cli import main

if __name__ == "__main__":
    sys.exit(main())
