#include "core/hub/hub_name.h"

#include <algorithm>

#include "core/error.h"

namespace vit22b {
namespace {

constexpr const char* kScheme = "hf:";
constexpr size_t kLongestName = 96, kLongestPath = 512;

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '-' || c == '.';
}

// As the hub has it: "--" divides owner and name in the cache's folders.
bool is_repository_part(const std::string& text) {
  return !text.empty() && text.size() <= kLongestName &&
         std::all_of(text.begin(), text.end(), is_word) && text.find("..") == std::string::npos &&
         text.find("--") == std::string::npos && text.front() != '-' && text.front() != '.' &&
         text.back() != '-' && text.back() != '.';
}

}  // namespace

bool is_hub_name(const std::string& text) {
  return text.starts_with(kScheme);
}

bool is_safe_path(const std::string& path) {
  if (path.empty() || path.size() > kLongestPath) return false;
  const auto is_plain = [](char c) {
    return static_cast<unsigned char>(c) >= ' ' && c != '\\' && c != 127;
  };
  if (!std::all_of(path.begin(), path.end(), is_plain)) return false;
  for (const std::string& part : split(path, '/'))
    if (part.empty() || part == "." || part == ".." || part.size() > 255) return false;
  return true;
}

std::string HubName::text() const {
  return concat(kScheme, repository(), revision == "main" ? "" : "@" + revision,
                file.empty() ? "" : ":" + file);
}

HubName parse_hub_name(const std::string& text) {
  constexpr const char* kForm = "hf:OWNER/NAME[@REVISION][:FILE]";
  HubName hub;
  std::string rest = text.substr(std::string(kScheme).size());
  if (const size_t colon = rest.find(':'); colon != std::string::npos) {
    hub.file = rest.substr(colon + 1);
    rest.resize(colon);
    if (!is_safe_path(hub.file))
      throw UsageError("'", text, "': '", hub.file, "' is no file of a model's tree; want ", kForm);
  }
  if (const size_t at = rest.find('@'); at != std::string::npos) {
    hub.revision = rest.substr(at + 1);
    rest.resize(at);
    if (!is_safe_path(hub.revision))
      throw UsageError("'", text, "': '", hub.revision,
                       "' is no revision; want a branch, a tag or a commit: ", kForm);
  }
  const size_t slash = rest.find('/');
  if (slash == std::string::npos) throw UsageError("'", text, "' names no model; want ", kForm);
  hub.owner = rest.substr(0, slash);
  hub.name = rest.substr(slash + 1);
  if (!is_repository_part(hub.owner) || !is_repository_part(hub.name))
    throw UsageError("'", text,
                     "' names no model of a hub: owner and name are of letters, digits, ",
                     "'_', '-' and '.'; want ", kForm);
  return hub;
}

}  // namespace vit22b
