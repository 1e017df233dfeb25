#include "data/tokenizer.h"

#include <utf8proc.h>
#include <zlib.h>

#include "core/checksum.h"
#include "core/error.h"
#include "core/file.h"
#include "data/tokenizers/tokenizers.h"

namespace vit22b {
namespace {

constexpr size_t kFileLimit = size_t{256} << 20;

void append(std::string& out, utf8proc_int32_t character) {
  utf8proc_uint8_t bytes[4];
  const auto size = utf8proc_encode_char(character, bytes);
  out.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
}

}  // namespace

std::vector<int32_t> characters_of(std::string_view text) {
  constexpr int32_t kReplacement = 0xFFFD;
  std::vector<int32_t> characters;
  const auto* at = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  auto left = static_cast<utf8proc_ssize_t>(text.size());
  while (left > 0) {
    utf8proc_int32_t character = 0;
    const auto size = utf8proc_iterate(at, left, &character);
    characters.push_back(size > 0 ? character : kReplacement);
    at += std::max<utf8proc_ssize_t>(size, 1);
    left -= std::max<utf8proc_ssize_t>(size, 1);
  }
  return characters;
}

std::string text_of(std::span<const int32_t> characters) {
  std::string text;
  for (const int32_t character : characters) append(text, character);
  return text;
}

bool is_space(int32_t character) {
  // Python's str.split: the separators' categories, and the controls that count as white space.
  const auto category = utf8proc_category(character);
  return category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL ||
         category == UTF8PROC_CATEGORY_ZP || (character >= 0x09 && character <= 0x0D) ||
         (character >= 0x1C && character <= 0x1F) || character == 0x85;
}

std::string single_spaced(std::string_view text) {
  std::vector<int32_t> out;
  bool is_pending = false;
  for (const int32_t c : characters_of(text)) {
    if (is_space(c)) {
      is_pending = !out.empty();
      continue;
    }
    if (is_pending) out.push_back(' ');
    is_pending = false;
    out.push_back(c);
  }
  return text_of(out);
}

std::string lower_case(std::string_view text) {
  constexpr int32_t kDottedCapitalI = 0x130, kDotAbove = 0x307;
  constexpr int32_t kCapitalSigma = 0x3A3, kFinalSigma = 0x3C2;
  const std::vector<int32_t> in = characters_of(text);
  const auto is_letter = [&](size_t i) {
    const auto category = utf8proc_category(in[i]);
    return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
  };
  std::vector<int32_t> out;
  for (size_t i = 0; i < in.size(); ++i) {
    // The two rules of Unicode's SpecialCasing that hold in every language.
    if (in[i] == kDottedCapitalI) {
      out.insert(out.end(), {'i', kDotAbove});
    } else if (in[i] == kCapitalSigma && i > 0 && is_letter(i - 1) &&
               (i + 1 == in.size() || !is_letter(i + 1))) {
      out.push_back(kFinalSigma);
    } else {
      out.push_back(utf8proc_tolower(in[i]));
    }
  }
  return text_of(out);
}

std::string canonical_text(std::string_view text) {
  constexpr std::string_view kPunctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^`{|}~";
  std::string kept;
  for (const char c : text) {
    if (c == '_')
      kept += ' ';
    else if (kPunctuation.find(c) == std::string_view::npos)
      kept += c;
  }
  return single_spaced(lower_case(kept));
}

std::string Tokenizer::fingerprint() const {
  return concat(file_name(), " ", hash_of_text(file_bytes()));
}

std::unique_ptr<Tokenizer> make_tokenizer(std::string bytes, const std::string& name) {
  if (name.ends_with(".model")) return make_sentencepiece(std::move(bytes), name);
  if (name.ends_with(".txt")) return make_clip_bpe(std::move(bytes), name);
  throw CheckpointError("tokenizer ", name,
                        ": want a SentencePiece .model, or CLIP's merges as .txt or .txt.gz");
}

std::unique_ptr<Tokenizer> open_tokenizer(const std::filesystem::path& path) {
  std::string bytes = read_text(path, ExitCode::kCheckpoint, kFileLimit), name = path.string();
  if (name.ends_with(".gz")) {
    bytes = unzipped(bytes, name);
    name.resize(name.size() - 3);
  }
  return make_tokenizer(std::move(bytes), name);
}

std::string unzipped(const std::string& bytes, const std::string& name) {
  constexpr size_t kStep = size_t{1} << 20;
  constexpr int kGzip = 16 + MAX_WBITS;
  z_stream stream{};
  if (inflateInit2(&stream, kGzip) != Z_OK) throw InternalError("zlib cannot start");
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  std::string out;
  int state = Z_OK;
  while (state == Z_OK && out.size() <= kFileLimit) {
    const size_t before = out.size();
    out.resize(before + kStep);
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + before);
    stream.avail_out = kStep;
    state = inflate(&stream, Z_NO_FLUSH);
    out.resize(before + kStep - stream.avail_out);
  }
  inflateEnd(&stream);
  if (state != Z_STREAM_END)
    throw CheckpointError(name, " is no whole gzip file, or larger than ", kFileLimit, " bytes");
  return out;
}

}  // namespace vit22b
