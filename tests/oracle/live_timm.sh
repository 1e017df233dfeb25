#!/usr/bin/env bash
# Compares the program with timm in both directions; exit code 77 (skipped) where timm is not installed.
root=$(cd "$(dirname "$0")/../.." && pwd)
python=$root/.deps/oracle/bin/python
"$python" -c 'import timm' 2>/dev/null || {
  echo "SKIPPED: timm is not installed; script/oracle-env makes its environment"
  exit 77
}
exec "$python" "$root/tests/oracle/live_timm.py" "$1"
