#!/usr/bin/env bash
# Every plain architecture of timm's against timm itself; exit code 77 (skipped) where timm is not installed.
source "$(dirname "$0")/../../script/env.sh"
"$oracles/bin/python" -c 'import timm' 2>/dev/null || {
  echo "SKIPPED: timm is not installed; script/oracle-env makes its environment"
  exit 77
}
exec "$oracles/bin/python" "$project/tests/oracle/live_timm_all.py" "$@"
