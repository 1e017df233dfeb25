#!/usr/bin/env bash
# Compares the flags that change pixels with timm; exit code 77 (skipped) where timm is not installed.
source "$(dirname "$0")/../../script/env.sh"
python=$oracles/bin/python
"$python" -c 'import timm' 2>/dev/null || {
  echo "SKIPPED: timm is not installed; script/oracle-env makes its environment"
  exit 77
}
exec "$python" "$project/tests/oracle/live_pixel_flags.py" "$1"
