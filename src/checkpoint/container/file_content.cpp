#include "checkpoint/container/file_content.h"

#include <algorithm>

#include "core/error.h"
#include "core/letter_case.h"
#include "core/printable.h"
#include "core/stored_bytes.h"

namespace vit22b {
namespace {

constexpr size_t kLookedAt = 512;
constexpr size_t kShown = 80;

struct Signature {
  std::string_view bytes;
  size_t first, last;  ///< where they may begin
  FileContent content;
  const char* name;
};
// Of two that fit, the first counts. The bytes of torch's stream are its magic number as a pickle
// has it, behind the protocol and perhaps a frame.
constexpr Signature kSignatures[] = {
    {{"PK\3\4", 4}, 0, 0, FileContent::kZip, "a zip archive"},
    {{"PK\5\6", 4}, 0, 0, FileContent::kZip, "an empty zip archive"},
    {"\x8a\n\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 2, 11, FileContent::kTorchStream,
     "a file of torch's before 1.6"},
    {"\x80", 0, 0, FileContent::kForeign, "a pickle that torch.save has not written"},
    {"\x93NUMPY", 0, 0, FileContent::kForeign, "a single .npy array"},
    {"\x89HDF", 0, 0, FileContent::kForeign, "an HDF5 file"},
    {"\x1f\x8b", 0, 0, FileContent::kForeign, "a packed file (gzip)"},
    {"ustar", 257, 257, FileContent::kForeign, "a tar archive"},
};

bool fits(const Signature& signature, std::string_view begin) {
  const size_t at = begin.find(signature.bytes, signature.first);
  return at != std::string_view::npos && at <= signature.last;
}

/// A length of less than 2^56 and a JSON object.
bool is_safetensors(std::string_view begin) {
  return begin.size() > 8 && begin[7] == '\0' && begin[8] == '{';
}

/// Whether there is nothing but what stands in texts; the length before a safetensors header has
/// zeros.
bool is_text(std::string_view begin) {
  return !begin.empty() && std::all_of(begin.begin(), begin.end(), [](unsigned char c) {
    return c >= ' ' || c == '\n' || c == '\r' || c == '\t';
  });
}

KnownContent text_content(const std::string& text, const std::string& place) {
  const std::string start = ascii_lower_case(trim(text)), shown = printable(text.substr(0, kShown));
  if (start.starts_with("version https://git-lfs"))
    throw CheckpointError(place, " is a git-lfs pointer, not the file: run git lfs pull");
  if (start.starts_with("<!doctype html") || start.starts_with("<html"))
    throw CheckpointError(place,
                          " is a web page, not the file: download the file itself (on Hugging "
                          "Face from .../resolve/..., not .../blob/...)");
  if (start.starts_with('<'))
    throw CheckpointError(place, " is XML, as of a server's error, not the file (", shown,
                          "): download it again");
  const bool is_json = start.starts_with('{') || start.starts_with('[');
  return {FileContent::kText, concat(is_json ? "a JSON text (" : "a text (", shown, ")")};
}

}  // namespace

KnownContent file_content(const std::filesystem::path& file) {
  const auto bytes = open_file_bytes(file, ExitCode::kCheckpoint);
  const std::string begin =
      read_range(*bytes, 0, std::min(kLookedAt, bytes->size()), "the file's begin");
  if (is_safetensors(begin)) return {FileContent::kSafetensors, "a safetensors file"};
  for (const Signature& known : kSignatures)
    if (fits(known, begin)) return {known.content, known.name};
  if (is_text(begin)) return text_content(begin, file.string());
  return {};
}

}  // namespace vit22b
