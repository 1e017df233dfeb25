#!/usr/bin/env bash
# Runs a script of this folder where the Python packages that it needs are: live.sh PACKAGE[,PACKAGE...] SCRIPT ARGUMENT...
# Exit code 77 (skipped) elsewhere.
source "$(dirname "$0")/../../script/env.sh"
"$oracles/bin/python" -c "import $1" 2>/dev/null || {
  echo "SKIPPED: $1: not installed; script/oracle-env makes the environment"
  exit 77
}
exec "$oracles/bin/python" "$project/tests/oracle/$2" "${@:3}"
