#!/usr/bin/env bash
# The ways of paths.sh on machines that hold nothing but a clone, each step timed: bare.sh SOURCE [MACHINE...]
# bookworm, trixie: the Debian release; the README's commands as root, a table for a paper, a folder of photographs, and the library's clients
# with that release's Python. cluster: bookworm without root; compiler, CMake and MPI are there, headers and libraries go into a prefix,
# two ranks. All three without a name. Wants root, debootstrap, a mirror of Debian's and 12 GB; skipped (77) without.
set -euo pipefail
source=$(realpath "$1")
shift
machines=("$@")
[[ $# -gt 0 ]] || machines=(bookworm trixie cluster)
skip() {
  echo "SKIPPED: $*"
  exit 77
}
[[ $EUID -eq 0 ]] || skip "bare roots are made as root"
git -C "$source" rev-parse HEAD >/dev/null 2>&1 || skip "$source is no clone"
command -v debootstrap >/dev/null || skip "no debootstrap"
mirror=$(awk '/^URIs/ {print $2; exit}' /etc/apt/sources.list.d/debian.sources 2>/dev/null || true)
[[ -n $mirror ]] || skip "no mirror in /etc/apt/sources.list.d/debian.sources"
work=$(mktemp -d)
[[ $(df --output=avail -B1G "$work" | tail -n 1) -ge 12 ]] || { rmdir "$work" && skip "12 GB of $work are wanted"; }
trap 'rm -rf --one-file-system "$work"' EXIT

# step NAME COMMAND...: its seconds on stdout, its last lines where it fails.
step() {
  local start=$EPOCHREALTIME
  "${@:2}" >"$work/log" 2>&1 || { echo "$1 failed:" && tail -n 20 "$work/log" && exit 1; }
  awk -v name="$1" -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%-52s %6.0f s\n", name, b - a }'
}
# in_root ROOT USER COMMAND: in USER's clone, with an environment of its own.
in_root() {
  local home=/home/$2
  [[ $2 == root ]] && home=/root
  unshare --mount --propagation private bash -c '
    for d in proc sys dev; do mount --rbind "/$d" "$0/$d"; done
    exec chroot --userspec="$1" "$0" /usr/bin/env -i HOME="$2" USER="$1" TERM=dumb PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
      PIP_CERT=/etc/ssl/certs/ca-certificates.crt bash -c "cd $2/project && $3"' "$1" "$2" "$home" "$3"
}
# make_root ROOT RELEASE USER PACKAGE...: a user's home with a clone of what is committed.
make_root() {
  local root=$1 release=$2 user=$3 home=/home/$3
  debootstrap --variant=minbase --include=ca-certificates,git "$release" "$root" "$mirror"
  rm -f "$root/etc/apt/sources.list"
  sed -E "s/^(Suites:).*/\1 $release/; /^URIs:.*security/,/^$/d" /etc/apt/sources.list.d/debian.sources | sed '/^$/q' >"$root/etc/apt/sources.list.d/debian.sources"
  cp /etc/resolv.conf /etc/hosts "$root/etc/"
  cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
  chroot "$root" apt-get update -q
  [[ $# -eq 3 ]] || chroot "$root" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${@:4}"
  [[ $user == root ]] && home=/root || chroot "$root" useradd -m "$user"
  git -c safe.directory="$source" clone -q "$source" "$root$home/project"
  chroot "$root" chown -R "$user" "$home/project"
}
ways() {
  in_root "$1" "$2" "tests/e2e/paths.sh build/release . /tmp/ways $3" >"$work/ways" 2>&1 || { tail -n 20 "$work/ways" && exit 1; }
  sed 's/^/  /' "$work/ways"
}

of_release() {
  local root=$work/$1
  step "a bare root" make_root "$root" "$1" root
  step "script/setup" in_root "$root" root script/setup
  step "script/build release vit22b vit22b_shared" in_root "$root" root "script/build release vit22b vit22b_shared"
  ways "$root" root "paper photos"
  step "the library's clients" in_root "$root" root "tests/e2e/library.sh build/release ."
}
of_cluster() {
  local root=$work/cluster
  step "a bare root with compiler and MPI" make_root "$root" bookworm engineer g++ cmake ninja-build unzip python3-pip openmpi-bin libopenmpi-dev
  step "VIT22B_DEPS=\$HOME/deps script/setup" in_root "$root" engineer 'VIT22B_DEPS=$HOME/deps script/setup'
  step "script/build release vit22b vit22b_shared" in_root "$root" engineer 'VIT22B_DEPS=$HOME/deps script/build release vit22b vit22b_shared'
  ways "$root" engineer "ranks"
}
for machine in "${machines[@]}"; do
  echo "$machine"
  if [[ $machine == cluster ]]; then of_cluster; else of_release "$machine"; fi
  rm -rf --one-file-system "${work:?}/$machine"
done
