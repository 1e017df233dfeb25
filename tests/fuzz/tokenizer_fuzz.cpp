#include <ATen/ATen.h>

#include "data/tokenizer.h"
#include "data/tokenizers/tokenizers.h"
#include "fuzz/input.h"

namespace {

using namespace vit22b;

void check_tokens(const Tokenizer& tokenizer, std::string_view text) {
  constexpr int64_t kLength = 17;
  const at::Tensor row = tokenizer.encode(text, kLength);
  VIT22B_CHECK(row.numel() == kLength, "another number of tokens");
  VIT22B_CHECK(row.max().item<int64_t>() < std::max<int64_t>(1, tokenizer.vocab_size()),
               "a token that is none");
  tokenizer.fingerprint();
}

// A tokenizer of captions, one a line.
std::unique_ptr<Tokenizer> trained_on(std::string_view captions, int64_t vocab_size) {
  return make_sentencepiece(train_sentencepiece(split(captions, '\n'), vocab_size), "trained");
}

}  // namespace

// A tokenizer's file, CLIP's merges, a SentencePiece model or a tokenizer.json by the input's first
// line, or captions to train one on; and a text, whose length is then the vocabulary's. readers:
// data/tokenizer.cpp data/tokenizers/clip_bpe.cpp data/tokenizers/sentencepiece.cpp
//          data/tokenizers/json_tokenizer.cpp
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const fuzz::Folder folder;
  std::string_view input = fuzz::text_of(data, size);
  const std::string_view first_line = input.substr(0, input.find('\n'));
  const std::string name = first_line == "model"  ? "t.model"
                           : first_line == "gz"   ? "t.txt.gz"
                           : first_line == "zip"  ? "t.zip"
                           : first_line == "json" ? "t.json"
                                                  : "t.txt";
  input.remove_prefix(std::min(input.size(), first_line.size() + 1));
  return fuzz::read([&] {
    const auto [text, file] = fuzz::files_of<2>(input);
    const auto tokenizer = first_line == "train"
                               ? trained_on(file, static_cast<int64_t>(text.size()))
                               : open_tokenizer(folder.write(name, file));
    check_tokens(*tokenizer, text);
  });
}
