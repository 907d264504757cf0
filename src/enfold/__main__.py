"""`python -m enfold`, the same as the command `enfold`."""

from __future__ import annotations

import sys

from enfold.cli import main

if __name__ == "__main__":
    sys.exit(main())
