#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>
#include <utf8proc.h>

#include "core/error.h"
#include "core/text.h"
#include "data/tokenizers/tokenizers.h"

namespace vit22b {
namespace {

class SentencePiece : public Tokenizer {
 public:
  SentencePiece(std::string bytes, const std::string& name, const TokenizerOptions& options)
      : bytes_(std::move(bytes)), options_(options) {
    const auto status = model_.LoadFromSerializedProto(bytes_);
    if (!status.ok())
      throw CheckpointError("tokenizer ", name, " is no SentencePiece model: ", status.ToString());
    if (model_.eos_id() < 0)
      throw CheckpointError("tokenizer ", name, " has no </s>, with which texts end");
  }

  int64_t vocab_size() const override { return model_.GetPieceSize(); }

  at::Tensor encode(std::string_view text, int64_t length) const override {
    // transformers' SigLIP takes these for pieces of their own, which is not done here.
    if (options_.cleaning == Cleaning::kSiglip)
      for (const char* mark : {"</s>", "<unk>"})
        if (text.find(mark) != std::string_view::npos)
          throw DataError("the text '", text, "' has ", mark,
                          ", a mark of SigLIP's tokenizer; take it out");
    std::vector<int> ids;
    const auto status = model_.Encode(cleaned(text, options_.cleaning, Cleaning::kCanonical), &ids);
    VIT22B_CHECK(status.ok(), "SentencePiece: ", status.ToString());
    const int64_t kept = std::min<int64_t>(static_cast<int64_t>(ids.size()), length - 1);
    at::Tensor row = at::full({length}, options_.pads_with_zero ? 0 : model_.eos_id(), at::kLong);
    for (int64_t i = 0; i < kept; ++i) row[i] = ids[static_cast<size_t>(i)];
    row[kept] = model_.eos_id();
    return row;
  }

  const std::string& file_bytes() const override { return bytes_; }
  const char* file_name() const override { return "tokenizer.model"; }

 private:
  std::string bytes_;
  TokenizerOptions options_;
  sentencepiece::SentencePieceProcessor model_;
};

/// Sentences for the trainer.
class Sentences : public sentencepiece::SentenceIterator {
 public:
  explicit Sentences(std::vector<std::string> sentences) : sentences_(std::move(sentences)) {}
  bool done() const override { return at_ == sentences_.size(); }
  void Next() override { ++at_; }
  const std::string& value() const override { return sentences_[at_]; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  std::vector<std::string> sentences_;
  size_t at_ = 0;
};

// Whether a text has more than what SentencePiece leaves out: spaces, controls, marks alone,
// U+FFFD. A training on nothing else ends the process.
bool has_letters(std::string_view text) {
  constexpr int32_t kNoCharacter = 0xFFFD;
  constexpr std::string_view kKinds = "LNSP";  // of letters, numbers, symbols, punctuation
  const std::vector<int32_t> characters = characters_of(text);
  return std::any_of(characters.begin(), characters.end(), [&](int32_t c) {
    return c != kNoCharacter && kKinds.find(*utf8proc_category_string(c)) != std::string_view::npos;
  });
}

// A text without U+2581, which SentencePiece writes for a space: one of nothing else would be empty
// to it, and a training on such texts ends the process.
std::string without_space_marks(std::string text) {
  constexpr std::string_view kMark = "\u2581";
  for (size_t at = text.find(kMark); at != std::string::npos; at = text.find(kMark, at))
    text.replace(at, kMark.size(), " ");
  return text;
}

}  // namespace

std::unique_ptr<Tokenizer> make_sentencepiece(std::string bytes, const std::string& name,
                                              const TokenizerOptions& options) {
  return std::make_unique<SentencePiece>(std::move(bytes), name, options);
}

std::string train_sentencepiece(const std::vector<std::string>& sentences, int64_t vocab_size) {
  std::vector<std::string> canonical;
  for (const std::string& sentence : sentences)
    if (std::string text = without_space_marks(canonical_text(sentence)); has_letters(text))
      canonical.push_back(std::move(text));
  if (canonical.empty())
    throw UsageError("a tokenizer cannot be trained on texts without a letter");
  Sentences iterator(std::move(canonical));
  std::string model;
  // The special pieces as T5's models have them; one thread, so that sums have one order.
  const auto status =
      sentencepiece::SentencePieceTrainer::Train({{"vocab_size", std::to_string(vocab_size)},
                                                  {"model_type", "unigram"},
                                                  {"character_coverage", "1.0"},
                                                  {"num_threads", "1"},
                                                  {"pad_id", "0"},
                                                  {"eos_id", "1"},
                                                  {"unk_id", "2"},
                                                  {"bos_id", "-1"},
                                                  {"minloglevel", "2"}},
                                                 &iterator, &model);
  if (!status.ok())
    throw UsageError("a tokenizer of ", vocab_size,
                     " pieces cannot be trained on these texts: ", status.ToString());
  return model;
}

}  // namespace vit22b
