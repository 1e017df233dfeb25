# Sourced by the other scripts: where things are, how failures speak, and stage times.
set -eEuo pipefail
trap 'echo "$(basename "$0"): stopped at line $LINENO: $BASH_COMMAND" >&2' ERR
project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
deps=$project/.deps
# The virtual environment of the oracles, kept from one checkout to the next.
oracles=${VIT22B_ORACLES:-${XDG_CACHE_HOME:-$HOME/.cache}/vit22b-oracles}
# nproc counts OMP_NUM_THREADS, which has nothing to say of a build.
jobs=${JOBS:-$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc)}
export CCACHE_DIR=${CCACHE_DIR:-$HOME/.cache/vit22b-ccache} CCACHE_MAXSIZE=5G
export CCACHE_SLOPPINESS=pch_defines,time_macros CCACHE_BASEDIR=$project CCACHE_NOHASHDIR=1
# Headers, libraries and tools of a prefix of the user's (see script/setup).
if [[ -n ${VIT22B_DEPS:-} ]]; then
  VIT22B_DEPS=$(realpath -m "$VIT22B_DEPS")
  export VIT22B_DEPS PATH=$PATH:$VIT22B_DEPS/usr/bin:$VIT22B_DEPS/bin
fi
# What CMake is told of this machine; mold and ccache only save time.
machine_options=()
[[ -z ${VIT22B_DEPS:-} ]] || machine_options+=("-DVIT22B_DEPS=$VIT22B_DEPS")
[[ -z ${VIT22B_TORCH:-} ]] || machine_options+=("-DVIT22B_TORCH=$VIT22B_TORCH")
command -v mold >/dev/null || machine_options+=("-DCMAKE_EXE_LINKER_FLAGS=")
command -v ccache >/dev/null || machine_options+=("-DCMAKE_CXX_COMPILER_LAUNCHER=")

die() {
  echo "$(basename "$0"): $*" >&2
  exit 1
}

# Installs the Debian packages that are missing: install_packages NAME...
install_packages() {
  local missing=() p
  for p in "$@"; do
    [[ $(dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null) == installed ]] || missing+=("$p")
  done
  [[ ${#missing[@]} -eq 0 ]] && return
  echo "installing Debian packages: ${missing[*]}"
  local sudo=()
  if [[ $EUID -ne 0 ]]; then
    command -v sudo >/dev/null || die "the packages above are missing and there is no sudo; run as root: apt-get install ${missing[*]}"
    sudo=(sudo)
  fi
  local log
  log=$(mktemp)
  "${sudo[@]}" apt-get update -q >"$log" 2>&1 || die "Debian's package lists cannot be read: $(grep -m1 '^[EW]:' "$log" || tail -n 1 "$log")"
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >"$log" 2>&1 ||
    die "a Debian package cannot be installed: $(grep -m1 '^E:' "$log" || tail -n 1 "$log")"
  rm -f "$log"
}

# Runs a stage and prints its minutes: stage NAME COMMAND...
stage() {
  local name=$1 start=$SECONDS
  shift
  "$@"
  local took=$((SECONDS - start))
  printf '== %s: %d min %02d s\n' "$name" $((took / 60)) $((took % 60))
}
