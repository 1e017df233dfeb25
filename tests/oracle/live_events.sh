#!/usr/bin/env bash
# A run's event file, also after a resume, by TensorBoard's own reader: live_events.sh VIT22B; 77 (skipped) where tensorboard is not installed.
root=$(cd "$(dirname "$0")/../.." && pwd)
python=$root/.deps/oracle/bin/python
"$python" -c 'import tensorboard' 2>/dev/null || {
  echo "SKIPPED: tensorboard is not installed; script/oracle-env makes its environment"
  exit 77
}
exec "$python" "$root/tests/oracle/live_events.py" "$1"
