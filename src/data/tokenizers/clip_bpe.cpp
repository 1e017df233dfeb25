#include <algorithm>
#include <map>

#include "core/error.h"
#include "core/text.h"
#include "data/tokenizers/tokenizers.h"

namespace vit22b {
namespace {

constexpr const char* kEndOfWord = "</w>";
constexpr std::string_view kContractions[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
constexpr std::string_view kMarks[] = {"<start_of_text>", "<end_of_text>"};
// CLIP's file lists more merges than its vocabulary of 49,408 has (open_clip tokenizer.py).
constexpr int64_t kMostMerges = 49'408 - 2 * 256 - 2;

std::vector<int32_t> made_byte_characters() {
  std::vector<int32_t> map(256, -1);
  const auto keep = [&](int first, int last) {
    for (int b = first; b <= last; ++b) map[static_cast<size_t>(b)] = b;
  };
  keep('!', '~');
  keep(0xA1, 0xAC);
  keep(0xAE, 0xFF);
  int32_t next = 256;
  for (int32_t& character : map)
    if (character < 0) character = next++;
  return map;
}

}  // namespace

const std::vector<int32_t>& byte_characters() {
  static const std::vector<int32_t> kCharacters = made_byte_characters();
  return kCharacters;
}

std::vector<std::string> clip_words(std::string_view text,
                                    std::span<const std::string_view> marks) {
  const std::vector<int32_t> c = characters_of(text);
  std::vector<std::string> words;
  size_t at = 0;
  const auto whole_word = [&]() -> size_t {
    for (const auto& words_of_kind : {marks, std::span<const std::string_view>(kContractions)})
      for (const std::string_view word : words_of_kind) {
        size_t same = 0;
        while (same < word.size() && at + same < c.size() && c[at + same] == word[same]) ++same;
        if (same == word.size()) return same;
      }
    return 0;
  };
  const auto is_other = [](int32_t x) { return !is_space(x) && !is_letter(x) && !is_number(x); };
  while (at < c.size()) {
    size_t size = whole_word();
    if (size == 0 && is_letter(c[at]))
      while (at + size < c.size() && is_letter(c[at + size])) ++size;
    if (size == 0 && is_number(c[at])) size = 1;
    if (size == 0)
      while (at + size < c.size() && is_other(c[at + size])) ++size;
    if (size == 0) {
      ++at;  // white space
      continue;
    }
    words.push_back(text_of(std::span(c).subspan(at, size)));
    at += size;
  }
  return words;
}

namespace {

class ClipBpe : public Tokenizer {
 public:
  ClipBpe(std::string merges, const std::string& name, const TokenizerOptions& options)
      : bytes_(std::move(merges)), cleaning_(options.cleaning) {
    std::vector<int32_t> in_order;  // the vocabulary lists printing bytes first
    for (size_t b = 0; b < 256; ++b)
      if (byte_characters_[b] == static_cast<int32_t>(b)) in_order.push_back(byte_characters_[b]);
    for (int32_t extra = 256; static_cast<int64_t>(in_order.size()) < 256; ++extra)
      in_order.push_back(extra);
    for (const char* ending : {"", kEndOfWord})
      for (const int32_t character : in_order) add(text_of({&character, 1}) + ending);
    std::vector<std::string> lines = split(bytes_, '\n');
    while (!lines.empty() && trim(lines.back()).empty()) lines.pop_back();
    const int64_t num_merges = std::min(kMostMerges, static_cast<int64_t>(lines.size()) - 1);
    if (num_merges < 1) throw CheckpointError("tokenizer ", name, " has no merges after line 1");
    for (int64_t i = 1; i <= num_merges; ++i) {
      const std::vector<std::string> pair = split(trim(lines[static_cast<size_t>(i)]), ' ');
      if (pair.size() != 2)
        throw CheckpointError("tokenizer ", name, ":", i + 1, " is no pair of pieces");
      rank_.emplace(std::pair(pair[0], pair[1]), i);
      add(pair[0] + pair[1]);
    }
    start_ = add(std::string(kMarks[0]));
    end_ = add(std::string(kMarks[1]));
  }

  int64_t vocab_size() const override { return static_cast<int64_t>(ids_.size()); }

  at::Tensor encode(std::string_view text, int64_t length) const override {
    std::vector<int64_t> ids = {start_};
    for (const std::string& word : clip_words(words_text(text), kMarks)) {
      for (const std::string& piece : pieces_of(word)) ids.push_back(ids_.at(piece));
      if (static_cast<int64_t>(ids.size()) >= length) break;
    }
    ids.push_back(end_);
    if (static_cast<int64_t>(ids.size()) > length) {
      ids.resize(static_cast<size_t>(length));
      ids.back() = end_;
    }
    ids.resize(static_cast<size_t>(length), 0);
    return at::tensor(ids, at::kLong);
  }

  const std::string& file_bytes() const override { return bytes_; }
  const char* file_name() const override { return "tokenizer.txt"; }

 private:
  std::string words_text(std::string_view text) const {
    const std::string spaced = single_spaced(cleaned(text, cleaning_, Cleaning::kCaption));
    return cleaning_ == Cleaning::kComposed ? lower_case_each(spaced) : lower_case(spaced);
  }

  int64_t add(const std::string& piece) {
    return ids_.emplace(piece, static_cast<int64_t>(ids_.size())).first->second;
  }

  /// The word's bytes, joined pair by pair in the merges' order.
  std::vector<std::string> pieces_of(const std::string& word) const {
    // Joining is quadratic in the length: nobody's words are longer.
    constexpr size_t kLongestWord = 1000;
    if (std::find(std::begin(kMarks), std::end(kMarks), word) != std::end(kMarks)) return {word};
    std::vector<std::string> pieces;
    for (const char byte : word.substr(0, kLongestWord)) {
      const int32_t character = byte_characters_[static_cast<uint8_t>(byte)];
      pieces.push_back(text_of({&character, 1}));
    }
    pieces.back() += kEndOfWord;
    while (pieces.size() > 1) {
      auto best = rank_.end();
      for (size_t i = 0; i + 1 < pieces.size(); ++i)
        if (const auto it = rank_.find({pieces[i], pieces[i + 1]});
            it != rank_.end() && (best == rank_.end() || it->second < best->second))
          best = it;
      if (best == rank_.end()) break;
      std::vector<std::string> joined;
      for (size_t i = 0; i < pieces.size(); ++i) {
        const bool is_pair = i + 1 < pieces.size() && pieces[i] == best->first.first &&
                             pieces[i + 1] == best->first.second;
        joined.push_back(is_pair ? pieces[i] + pieces[i + 1] : pieces[i]);
        if (is_pair) ++i;
      }
      pieces = std::move(joined);
    }
    return pieces;
  }

  std::string bytes_;
  Cleaning cleaning_;
  const std::vector<int32_t>& byte_characters_ = byte_characters();
  std::map<std::pair<std::string, std::string>, int64_t> rank_;
  std::map<std::string, int64_t> ids_;
  int64_t start_ = 0, end_ = 0;
};

}  // namespace

std::unique_ptr<Tokenizer> make_clip_bpe(std::string merges, const std::string& name,
                                         const TokenizerOptions& options) {
  return std::make_unique<ClipBpe>(std::move(merges), name, options);
}

}  // namespace vit22b
