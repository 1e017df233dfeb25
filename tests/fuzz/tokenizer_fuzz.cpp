#include <ATen/ATen.h>

#include "data/tokenizer.h"
#include "fuzz/input.h"

// A tokenizer's file, CLIP's merges or a SentencePiece model by the input's first line, and a text.
// readers: data/tokenizer.cpp data/tokenizers/clip_bpe.cpp data/tokenizers/sentencepiece.cpp
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vit22b;
  constexpr int64_t kLength = 17;
  static const fuzz::Folder folder;
  std::string_view input = fuzz::text_of(data, size);
  const std::string_view first_line = input.substr(0, input.find('\n'));
  const std::string name = first_line == "model" ? "t.model"
                           : first_line == "gz"  ? "t.txt.gz"
                                                 : "t.txt";
  input.remove_prefix(std::min(input.size(), first_line.size() + 1));
  return fuzz::read([&] {
    const auto [text, file] = fuzz::files_of<2>(input);
    const auto path = folder.write(name, file);
    const auto tokenizer = open_tokenizer(path);
    const at::Tensor row = tokenizer->encode(text, kLength);
    VIT22B_CHECK(row.numel() == kLength, "another number of tokens");
    VIT22B_CHECK(row.max().item<int64_t>() < std::max<int64_t>(1, tokenizer->vocab_size()),
                 "a token that is none");
  });
}
