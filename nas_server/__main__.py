"""`nas-server`, as a console script and as `python -m nas_server`."""

import sys
from collections.abc import Sequence

from nas_sdk import _console


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status, and 2 when the extra `server` is missing."""

    def act() -> int:
        from nas_server.cli.command_line import main as run

        return run(arguments)

    return _console.run("nas-server", _console.SERVER, act)


if __name__ == "__main__":
    sys.exit(main())
