#!/usr/bin/env bash
# What PIL reads and timm's create_transform makes of pictures, and the logits of them: live_pixels.sh VIT22B DATA_TEST CHECKPOINT_TEST
source "$(dirname "$0")/../../script/env.sh"
python=$oracles/bin/python
"$python" -c 'import timm, torchvision' 2>/dev/null || {
  echo "SKIPPED: timm is not installed; script/oracle-env makes its environment"
  exit 77
}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" "$project/tests/oracle/make_images.py" "$folder"
"$python" "$project/tests/oracle/make_timm_transforms.py" "$folder"
VIT22B_IMAGES_ORACLE=$folder "$2" --gtest_brief=1 --gtest_filter='*Decode.EqualsPil*:Resize.*:Exif.*:Gray.*'
VIT22B_IMAGES_ORACLE=$folder "$3" --gtest_brief=1 --gtest_filter='TimmPreprocessing.*'
"$python" "$project/tests/oracle/live_pixels.py" "$1"
