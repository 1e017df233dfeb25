#!/usr/bin/env bash
# Heads on features against scikit-learn itself, on fresh random sets: live_sklearn.sh VIT22B; 77 (skipped) where it is not installed.
root=$(cd "$(dirname "$0")/../.." && pwd)
python=$root/.deps/oracle/bin/python
"$python" -c 'import sklearn' 2>/dev/null || {
  echo "SKIPPED: scikit-learn is not installed; script/oracle-env makes its environment"
  exit 77
}
exec "$python" "$root/tests/oracle/live_sklearn.py" "$1"
