#include "core/hub/hub_settings.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "core/error.h"
#include "core/file.h"
#include "core/http/http.h"
#include "core/letter_case.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPublicHub = "https://huggingface.co";

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool is_set(const char* name) {
  const std::string value = ascii_lower_case(variable(name));
  return value == "1" || value == "on" || value == "yes" || value == "true";
}

fs::path hub_home() {
  if (const std::string home = variable("HF_HOME"); !home.empty()) return home;
  if (const std::string cache = variable("XDG_CACHE_HOME"); !cache.empty())
    return fs::path(cache) / "huggingface";
  const std::string home = variable("HOME");
  if (home.empty())
    throw UsageError(
        "neither HF_HOME nor HOME is set: where is the hub's cache? set HF_HOME=FOLDER");
  return fs::path(home) / ".cache" / "huggingface";
}

std::string trimmed_token(std::string text) {
  std::erase_if(text, [](char c) { return c == '\n' || c == '\r' || c == ' ' || c == '\t'; });
  return text;
}

std::string token_of(const fs::path& home) {
  for (const char* name : {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"})
    if (std::string token = trimmed_token(variable(name)); !token.empty()) return token;
  if (is_set("HF_HUB_DISABLE_IMPLICIT_TOKEN")) return "";
  const std::string named = variable("HF_TOKEN_PATH");
  const fs::path file = named.empty() ? home / "token" : fs::path(named);
  std::error_code error;
  if (!fs::is_regular_file(file, error)) return "";
  return trimmed_token(read_text(file, ExitCode::kUsage));
}

int64_t timeout_of(const char* name, int64_t otherwise) {
  const std::string text = variable(name);
  int64_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  return error == std::errc() && seconds > 0 ? seconds : otherwise;
}

}  // namespace

Manners manners_of(const HubSettings& settings) {
  return {.token = settings.token,
          .trusted_origin = origin_of(settings.endpoint),
          .timeout_s = settings.timeout_s,
          .first_pause_s = settings.first_pause_s};
}

HubSettings hub_settings() {
  HubSettings settings;
  settings.endpoint = variable("HF_ENDPOINT");
  if (settings.endpoint.empty()) settings.endpoint = kPublicHub;
  while (settings.endpoint.ends_with('/')) settings.endpoint.pop_back();
  check_url(settings.endpoint);
  const fs::path home = hub_home();
  const std::string cache = variable("HF_HUB_CACHE");
  settings.cache = cache.empty() ? home / "hub" : fs::path(cache);
  settings.token = token_of(home);
  // It goes into a header's line.
  const bool is_plain = std::all_of(settings.token.begin(), settings.token.end(),
                                    [](char c) { return c > ' ' && c < 127; });
  if (!is_plain)
    throw UsageError("the hub's token holds letters that no token has; look at HF_TOKEN");
  settings.is_offline = is_set("HF_HUB_OFFLINE");
  settings.timeout_s = timeout_of("HF_HUB_DOWNLOAD_TIMEOUT", settings.timeout_s);
  return settings;
}

}  // namespace vit22b
