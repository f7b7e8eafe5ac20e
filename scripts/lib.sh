# Sourced by the scripts beside it. Finds a Python and has it set up what they need:
#   need_dev           .venv, from requirements/dev.txt; its commands are found first
#   need_hermes V      .cache/hermes/V, from requirements/hermes-V.txt; sets HERMES_ENV
# Nothing but bash, Python 3.11 or later and pip is expected of the machine.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BIN=$ROOT/.venv/bin
cd "$ROOT" || exit 1

say() { printf '%s\n' "$*" >&2; }

die() {
  say "$*"
  exit 1
}

fits() { # fits COMMAND: whether it is a Python this project runs on
  "$1" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() { # prints the Python to set up with; PYTHON=... in the environment chooses
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} python3 python3.14 python3.13 python3.12 python3.11 python; do
    if fits "$candidate"; then
      command -v "$candidate"
      return
    fi
  done
  die "Python 3.11 or later is needed, and none was found. Name one: PYTHON=/path/to/python3 $0"
}

bootstrap() {
  "$SETUP_PYTHON" "$ROOT/tools/bootstrap.py" "$@"
}

need_dev() {
  bootstrap dev >/dev/null
  export PATH="$BIN:$PATH"
}

need_hermes() { # need_hermes VERSION
  # shellcheck disable=SC2034  # for the script that sources this one
  HERMES_ENV=$(bootstrap hermes "$1")
}

SETUP_PYTHON=$(find_python) || exit 1
