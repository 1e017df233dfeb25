#include "data/tokenizer.h"
#include "data/tokenizers/html_text.h"
#include "data/tokenizers/tokenizers.h"
#include "fuzz/input.h"

// A caption, as tokenizers clean it.
// readers: data/tokenizers/clean_caption.cpp data/tokenizers/html_text.cpp
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vit22b;
  const std::string_view text = fuzz::text_of(data, size);
  return fuzz::read([&] {
    canonical_text(text);
    lower_case(clean_caption(text));
  });
}
