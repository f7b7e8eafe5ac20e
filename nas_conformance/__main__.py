"""`nas-conformance`, as a console script and as `python -m nas_conformance`."""

import sys
from collections.abc import Sequence

from nas_sdk import _console


def main(arguments: Sequence[str] | None = None) -> int:
    """Hold a NAS to the contract; 2 when that cannot be done, as without the extra."""

    def act() -> int:
        from nas_conformance.cli import main as run

        return run(arguments)

    return _console.run("nas-conformance", _console.CONFORMANCE, act)


if __name__ == "__main__":
    sys.exit(main())
