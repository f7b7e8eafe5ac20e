"""`python -m chronos_plugin.cli` is `chronos`."""

import sys

from . import main

if __name__ == "__main__":
    sys.exit(main())
