#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer.h"

namespace vit22b {

class TokenizerSettings;

// The kinds of tokenizers, each in the file of its name; `name` is for messages.
std::unique_ptr<Tokenizer> make_sentencepiece(std::string bytes, const std::string& name,
                                              const TokenizerOptions& options = {});
std::unique_ptr<Tokenizer> make_clip_bpe(std::string merges, const std::string& name,
                                         const TokenizerOptions& options = {});
/// A tokenizer.json of Hugging Face's tokenizers, with what stands beside it: padding, marks.
std::unique_ptr<Tokenizer> make_json_tokenizer(std::string json, const TokenizerSettings& settings,
                                               const std::string& name,
                                               const TokenizerOptions& options = {});

/// A text as a family wants it, of a tokenizer whose own kind of cleaning this is.
std::string cleaned(std::string_view text, Cleaning cleaning, Cleaning of_kind);

/// CLIP's pattern: `marks` written out, contractions, runs of letters, single numbers, runs of
/// anything else.
std::vector<std::string> clip_words(std::string_view text, std::span<const std::string_view> marks);
/// GPT-2's bytes as printable characters: those that print stand for themselves, the others follow
/// from U+0100 on.
const std::vector<int32_t>& byte_characters();

/// A gzip file's content; at most 256 MiB.
std::string unzipped(const std::string& bytes, const std::string& name);

/// A caption as open_clip's basic_clean leaves it, which CLIP's tokenizer runs first: ftfy's
/// fix_text without its repair of wrongly decoded text, and HTML's characters undone twice.
std::string clean_caption(std::string_view text);

/// Unicode's normal forms: NFC, NFD, NFKC, NFKD.
enum class NormalForm { kComposed, kDecomposed, kCompatible, kCompatibleDecomposed };
std::string normal_form(const std::string& text, NormalForm form);
/// Lower case of each character by itself, as Rust has it: no final sigma.
std::string lower_case_each(std::string_view text);

/// UTF-8 as characters and back; bytes that are no UTF-8 become U+FFFD.
std::vector<int32_t> characters_of(std::string_view text);
std::string text_of(std::span<const int32_t> characters);
/// White space as Python's str.split has it, and as Unicode has it.
bool is_space(int32_t character);
bool is_white(int32_t character);
/// Unicode's letters and numbers, by their categories.
bool is_letter(int32_t character);
bool is_number(int32_t character);
/// Without Unicode's white space at the ends that are named.
std::string stripped(std::string_view text, bool is_left, bool is_right);
/// Runs of white space become one space, none at the ends.
std::string single_spaced(std::string_view text);

}  // namespace vit22b
