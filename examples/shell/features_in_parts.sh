#!/usr/bin/env bash
# Features of very many pictures: features_in_parts.sh CHECKPOINT LIST OUT
# LIST has a path a line. Shards of 256 MiB are written one after the other; the same command goes on after an interruption.
set -euo pipefail
[[ $# -eq 3 ]] || { echo "features_in_parts.sh CHECKPOINT LIST OUT" >&2; exit 2; }
vit22b features "$1" --list "$2" --only pooled --out "$3/" --quiet
