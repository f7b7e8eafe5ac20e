"""`python -m tools.demo HERMES_ENV [--json]`; called by scripts/demo, which sets it all up."""

import argparse
import sys
from pathlib import Path


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("hermes_env", type=Path, help="the environment with hermes and us")
    parser.add_argument("--json", action="store_true", help="print events as JSON lines")
    arguments = parser.parse_args()
    try:
        from tools.demo.show import run  # Ctrl-C while that imports is no traceback either

        return run(arguments.hermes_env, as_json=arguments.json)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
