#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer.h"

namespace vit22b {

// The kinds of tokenizers, each in the file of its name; `name` is for messages.
std::unique_ptr<Tokenizer> make_sentencepiece(std::string bytes, const std::string& name);
std::unique_ptr<Tokenizer> make_clip_bpe(std::string merges, const std::string& name);

/// A gzip file's content; at most 256 MiB.
std::string unzipped(const std::string& bytes, const std::string& name);

/// A caption as open_clip's basic_clean leaves it, which CLIP's tokenizer runs first: ftfy's
/// fix_text without its repair of wrongly decoded text, and HTML's characters undone twice.
std::string clean_caption(std::string_view text);

/// UTF-8 as characters and back; bytes that are no UTF-8 become U+FFFD.
std::vector<int32_t> characters_of(std::string_view text);
std::string text_of(std::span<const int32_t> characters);
/// White space as Python's str.split has it.
bool is_space(int32_t character);
/// Runs of white space become one space, none at the ends.
std::string single_spaced(std::string_view text);

}  // namespace vit22b
