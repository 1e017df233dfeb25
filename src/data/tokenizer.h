#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer_options.h"

namespace vit22b {

/// Turns text into a row of numbers of a vocabulary.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  virtual int64_t vocab_size() const = 0;
  /// Exactly `length` tokens: the text's, cut where there are too many, the end mark, padding.
  ///
  /// returns  [length] int64
  virtual at::Tensor encode(std::string_view text, int64_t length) const = 0;
  /// The bytes that the tokenizer is made of, and the name of their file in a checkpoint.
  virtual const std::string& file_bytes() const = 0;
  virtual const char* file_name() const = 0;
  /// Whether it is known what stands behind a text that is shorter.
  virtual bool has_padding() const { return true; }
  /// A hash of all that decides the tokens.
  std::string fingerprint() const;
};

/// Opens a SentencePiece model (NAME.model), CLIP's byte-pair merges (NAME.txt or NAME.txt.gz), or
/// a tokenizer.json of Hugging Face's tokenizers, with the tokenizer_config.json beside it.
///
/// SentencePiece texts are canonicalised as SigLIP's are (lower case, no ASCII punctuation, single
/// spaces), end with the model's </s> and are padded with it. CLIP's are cleaned as open_clip does
/// (see clean_caption), get its start and end marks, lower case and single spaces, and are padded
/// with 0.
/// throws  CheckpointError for a file that is none of them, and for a tokenizer.json that asks for
///         what there is not, by name
std::unique_ptr<Tokenizer> open_tokenizer(const std::filesystem::path& path,
                                          const TokenizerOptions& options = {});
/// The same from a file's bytes; `name` decides the kind.
std::unique_ptr<Tokenizer> make_tokenizer(std::string bytes, const std::string& name,
                                          const TokenizerOptions& options = {});

/// Trains a SentencePiece model (unigram, the whole text kept) on canonicalised sentences; the same
/// sentences give the same model.
///
/// throws  UsageError when the sentences do not fill such a vocabulary, saying how large it may be
std::string train_sentencepiece(const std::vector<std::string>& sentences, int64_t vocab_size);

/// SigLIP's canonical form of a text: _ as a space, no ASCII punctuation, lower case, single
/// spaces.
std::string canonical_text(std::string_view text);

/// Lower case by Unicode, one character at a time; bytes that are no UTF-8 become U+FFFD.
std::string lower_case(std::string_view text);

}  // namespace vit22b
