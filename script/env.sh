# Sourced by the other scripts: where things are, how failures speak, and stage times.
set -eEuo pipefail
trap 'echo "$(basename "$0"): stopped at line $LINENO: $BASH_COMMAND" >&2' ERR
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
deps=$project/.deps
jobs=${JOBS:-$(nproc)}
export CCACHE_DIR=${CCACHE_DIR:-$HOME/.cache/vit22b-ccache} CCACHE_MAXSIZE=5G
export CCACHE_SLOPPINESS=pch_defines,time_macros CCACHE_BASEDIR=$project CCACHE_NOHASHDIR=1

die() {
  echo "$(basename "$0"): $*" >&2
  exit 1
}

# Runs a stage and prints its minutes: stage NAME COMMAND...
stage() {
  local name=$1 start=$SECONDS
  shift
  "$@"
  local took=$((SECONDS - start))
  printf '== %s: %d min %02d s\n' "$name" $((took / 60)) $((took % 60))
}
