#!/usr/bin/env bash
# The photographs that fit a sentence best: search.sh CHECKPOINT PHOTOS SENTENCE
# CHECKPOINT has two towers: CLIP, SigLIP, open_clip's, or a run of `vit22b lit`. The second search of a folder takes a moment:
# what was computed of its pictures is kept beside the checkpoint.
set -euo pipefail
[[ $# -eq 3 ]] || { echo "search.sh CHECKPOINT PHOTOS SENTENCE" >&2; exit 2; }
vit22b retrieve "$1" --data "$2" --query "$3" --quiet
