#include "data/tokenizer.h"

#include <zlib.h>

#include <algorithm>

#include "core/checksum.h"
#include "core/error.h"
#include "core/file.h"
#include "data/tokenizers/settings.h"
#include "data/tokenizers/tokenizers.h"

namespace vit22b {
namespace {

constexpr size_t kFileLimit = size_t{256} << 20;

// Without ASCII's.
std::string without_punctuation(std::string text) {
  constexpr std::string_view kPunctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
  std::erase_if(text, [&](char c) { return kPunctuation.find(c) != std::string_view::npos; });
  return text;
}

}  // namespace

std::string canonical_text(std::string_view text) {
  std::string spaced(text);
  std::replace(spaced.begin(), spaced.end(), '_', ' ');
  return single_spaced(lower_case(without_punctuation(spaced)));
}

std::string Tokenizer::fingerprint() const {
  return concat(file_name(), " ", hash_of_text(file_bytes()));
}

std::string cleaned(std::string_view text, Cleaning cleaning, Cleaning of_kind) {
  switch (cleaning == Cleaning::kOfKind ? of_kind : cleaning) {
    case Cleaning::kOfKind:
    case Cleaning::kSiglipByClass:
    case Cleaning::kNone:
      return std::string(text);
    case Cleaning::kLower:
      return lower_case_each(text);
    case Cleaning::kSiglip:
      return single_spaced(without_punctuation(lower_case(text)));
    case Cleaning::kComposed:
      return normal_form(std::string(text), NormalForm::kComposed);
    case Cleaning::kCaption:
      return single_spaced(clean_caption(text));
    case Cleaning::kCaptionLower:
      return lower_case(single_spaced(clean_caption(text)));
    case Cleaning::kCaptionCanonical:
      return canonical_text(clean_caption(text));
    case Cleaning::kCanonical:
      return canonical_text(text);
  }
  throw InternalError("cleaned: no such cleaning");
}

std::unique_ptr<Tokenizer> make_tokenizer(std::string bytes, const std::string& name,
                                          const TokenizerOptions& options) {
  if (name.ends_with(".model")) return make_sentencepiece(std::move(bytes), name, options);
  if (name.ends_with(".txt")) return make_clip_bpe(std::move(bytes), name, options);
  if (name.ends_with(".json")) return make_json_tokenizer(std::move(bytes), {}, name, options);
  throw CheckpointError("tokenizer ", name,
                        ": want a SentencePiece .model, CLIP's merges as .txt or .txt.gz, or a "
                        "tokenizer.json");
}

std::unique_ptr<Tokenizer> open_tokenizer(const std::filesystem::path& path,
                                          const TokenizerOptions& options) {
  std::string bytes = read_text(path, ExitCode::kCheckpoint, kFileLimit), name = path.string();
  if (name.ends_with(".gz")) {
    bytes = unzipped(bytes, name);
    name.resize(name.size() - 3);
  }
  const TokenizerSettings settings = read_tokenizer_settings(path.parent_path());
  const TokenizerOptions resolved = resolved_options(options, settings, name);
  const std::filesystem::path vocabulary = path.parent_path() / "vocab.json";
  if (path.filename() == "merges.txt" && std::filesystem::exists(vocabulary))
    return make_json_tokenizer(
        clip_json(bytes, read_text(vocabulary, ExitCode::kCheckpoint, kFileLimit),
                  vocabulary.string()),
        settings, name, resolved);
  if (name.ends_with(".json"))
    return make_json_tokenizer(std::move(bytes), settings, name, resolved);
  return make_tokenizer(std::move(bytes), name, resolved);
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
