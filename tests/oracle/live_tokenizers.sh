#!/usr/bin/env bash
# 10,000 captions in fifteen languages against sentencepiece and open_clip themselves: live_tokenizers.sh DATA_TEST
here=$(cd "$(dirname "$0")" && pwd)
source "$here/../../script/env.sh"
python=$oracles/bin/python
merges=$("$python" -c 'import open_clip, pathlib; print(pathlib.Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz")' 2>/dev/null) &&
  [[ -e /usr/share/unicode/cldr/common/annotations/en.xml ]] || { echo "SKIPPED: needs script/oracle-env and Debian's unicode-cldr-core"; exit 77; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp "$here/tokenizer.model" "$folder"
"$python" "$here/make_tokenizers.py" 10000 "$folder" &&
  VIT22B_SOURCE_DIR=$project VIT22B_TOKENIZER_ORACLE=$folder VIT22B_CLIP_MERGES=$merges "$1" --gtest_brief=1 --gtest_filter='Tokenizers.*Equal*'
