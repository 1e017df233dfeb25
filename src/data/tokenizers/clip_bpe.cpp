#include <utf8proc.h>

#include <map>

#include "core/error.h"
#include "core/text.h"
#include "data/tokenizers/tokenizers.h"

namespace vit22b {
namespace {

constexpr const char* kEndOfWord = "</w>";
// CLIP's file lists more merges than its vocabulary of 49,408 has (open_clip tokenizer.py).
constexpr int64_t kMostMerges = 49'408 - 2 * 256 - 2;

/// GPT-2's bytes as printable characters: those that print stand for themselves, the others follow
/// from U+0100 on.
std::vector<int32_t> byte_characters() {
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

/// Unicode's composed normal form (NFC), or with UTF8PROC_COMPAT the compatible one (NFKC).
std::string normalised(const std::string& text, utf8proc_option_t more) {
  utf8proc_uint8_t* mapped = nullptr;
  const auto size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &mapped,
                   static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE | more));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(mapped, &std::free);
  return size < 0 ? text
                  : std::string(reinterpret_cast<const char*>(mapped), static_cast<size_t>(size));
}

/// Quotes, ligatures and widths as ftfy's fix_text leaves them, which CLIP's tokenizer runs first;
/// its repair of wrongly decoded text is not here.
std::string plain_characters(std::string_view text) {
  static const std::map<int32_t, std::string> kPlain = {
      {0x2018, "'"},       {0x2019, "'"},       {0x201A, "'"},  {0x201B, "'"},
      {0x02BC, "'"},       {0x201C, "\""},      {0x201D, "\""}, {0x201E, "\""},
      {0x201F, "\""},      {0x0132, "IJ"},      {0x0133, "ij"}, {0x0149, "'n"},
      {0x01F1, "DZ"},      {0x01F2, "Dz"},      {0x01F3, "dz"}, {0x01C4, "D\u017D"},
      {0x01C5, "D\u017E"}, {0x01C6, "d\u017E"}, {0x01C7, "LJ"}, {0x01C8, "Lj"},
      {0x01C9, "lj"},      {0x01CA, "NJ"},      {0x01CB, "Nj"}, {0x01CC, "nj"},
      {0xFB00, "ff"},      {0xFB01, "fi"},      {0xFB02, "fl"}, {0xFB03, "ffi"},
      {0xFB04, "ffl"},     {0xFB05, "\u017Ft"}, {0xFB06, "st"}, {0x3000, " "}};
  constexpr int32_t kFirstWide = 0xFF01, kLastWide = 0xFFEF, kSoftHyphenless = 0xFEFF;
  std::string out;
  for (const int32_t c : characters_of(text)) {
    const auto plain = kPlain.find(c);
    if (plain != kPlain.end())
      out += plain->second;
    else if (c >= kFirstWide && c <= kLastWide)
      out += normalised(text_of({&c, 1}), UTF8PROC_COMPAT);
    else if (c != kSoftHyphenless)
      out += text_of({&c, 1});
  }
  return normalised(out, {});
}

bool is_letter(int32_t c) {
  const auto category = utf8proc_category(c);
  return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

bool is_number(int32_t c) {
  const auto category = utf8proc_category(c);
  return category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO;
}

/// CLIP's pattern: contractions, runs of letters, single numbers, runs of anything else.
std::vector<std::string> words_of(std::string_view text) {
  const std::vector<int32_t> c = characters_of(text);
  std::vector<std::string> words;
  size_t at = 0;
  const auto contraction = [&]() -> size_t {
    for (const std::string_view ending : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"}) {
      size_t same = 0;
      while (same < ending.size() && at + same < c.size() && c[at + same] == ending[same]) ++same;
      if (same == ending.size()) return same;
    }
    return 0;
  };
  const auto is_other = [](int32_t x) { return !is_space(x) && !is_letter(x) && !is_number(x); };
  while (at < c.size()) {
    size_t size = contraction();
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

class ClipBpe : public Tokenizer {
 public:
  ClipBpe(std::string merges, const std::string& name) : bytes_(std::move(merges)) {
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
    start_ = add("<start_of_text>");
    end_ = add("<end_of_text>");
  }

  int64_t vocab_size() const override { return static_cast<int64_t>(ids_.size()); }

  at::Tensor encode(std::string_view text, int64_t length) const override {
    std::vector<int64_t> ids = {start_};
    for (const std::string& word : words_of(lower_case(single_spaced(plain_characters(text))))) {
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
  int64_t add(const std::string& piece) {
    return ids_.emplace(piece, static_cast<int64_t>(ids_.size())).first->second;
  }

  /// The word's bytes, joined pair by pair in the merges' order.
  std::vector<std::string> pieces_of(const std::string& word) const {
    // Joining is quadratic in the length: nobody's words are longer.
    constexpr size_t kLongestWord = 1000;
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
  std::vector<int32_t> byte_characters_ = byte_characters();
  std::map<std::pair<std::string, std::string>, int64_t> rank_;
  std::map<std::string, int64_t> ids_;
  int64_t start_ = 0, end_ = 0;
};

}  // namespace

std::unique_ptr<Tokenizer> make_clip_bpe(std::string merges, const std::string& name) {
  return std::make_unique<ClipBpe>(std::move(merges), name);
}

}  // namespace vit22b
