#!/usr/bin/env bash
# Compares folders and class maps with torchvision and timm; exit code 77 (skipped) where they are not installed.
source "$(dirname "$0")/../../script/env.sh"
python=$oracles/bin/python
"$python" -c 'import timm, torchvision' 2>/dev/null || {
  echo "SKIPPED: timm and torchvision are not installed; script/oracle-env makes their environment"
  exit 77
}
exec "$python" "$project/tests/oracle/live_folders.py" "$1"
