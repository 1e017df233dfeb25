#include "core/http/http.h"

#include <algorithm>

#include "core/error.h"
#include "core/letter_case.h"
#include "core/module.h"

namespace vit22b {
namespace {

constexpr const char* kHttpModule = "libvit22b_http.so";

HttpModule* load_http_module() {
  std::string reason;
  void* make = module_symbol(kHttpModule, kHttpModuleSymbol, ModuleScope::kOwn, reason);
  if (make == nullptr)
    throw UsageError("downloads need ", kHttpModule, " beside the program, with libcurl and ",
                     "OpenSSL: ", reason);
  return reinterpret_cast<MakeHttpModule>(make)();
}

struct UrlParts {
  std::string scheme, host, port;
};

UrlParts parts_of(const std::string& url) {
  const size_t colon = url.find("://");
  if (colon == std::string::npos) return {};
  UrlParts parts{ascii_lower_case(url.substr(0, colon)), "", ""};
  std::string rest = url.substr(colon + 3);
  rest = rest.substr(0, rest.find_first_of("/?#\\"));
  if (const size_t at = rest.rfind('@'); at != std::string::npos) rest = rest.substr(at + 1);
  const size_t end = rest.starts_with('[') ? rest.find(']') : 0;
  const size_t port = rest.find(':', end == std::string::npos ? 0 : end);
  parts.host = ascii_lower_case(rest.substr(0, port));
  if (port != std::string::npos) parts.port = rest.substr(port + 1);
  if (parts.port.empty()) parts.port = parts.scheme == "https" ? "443" : "80";
  return parts;
}

}  // namespace

std::string HttpAnswer::header(const std::string& name) const {
  const auto it = headers.find(name);
  return it == headers.end() ? "" : it->second;
}

int64_t size_in_header(const std::string& text) {
  const auto number = leading_number(text);
  constexpr double kMost = 1e15;
  return number && number->second.empty() && number->first >= 0 && number->first < kMost
             ? static_cast<int64_t>(number->first)
             : -1;
}

const HttpModule& http_module() {
  static const std::unique_ptr<HttpModule> kModule(load_http_module());
  return *kModule;
}

void check_url(const std::string& url) {
  const bool is_plain =
      std::all_of(url.begin(), url.end(), [](char c) { return c > ' ' && c < 127; });
  const UrlParts parts = parts_of(url);
  const std::string shown = is_plain ? url : std::string("this");
  if (!is_plain || parts.host.empty() || (parts.scheme != "https" && parts.scheme != "http"))
    throw UsageError("'", shown, "' is no address of a server; want https://HOST/PATH");
  // The name and password would go into logs and error messages.
  if (url.substr(0, url.find('/', url.find("://") + 3)).find('@') != std::string::npos)
    throw UsageError(
        "an address with a name or password before its host is not asked: they would "
        "be seen in logs; use a token (HF_TOKEN)");
  constexpr const char* kHere[] = {"127.0.0.1", "localhost", "[::1]"};
  const bool is_here = std::any_of(std::begin(kHere), std::end(kHere),
                                   [&](const char* host) { return parts.host == host; });
  if (parts.scheme == "http" && !is_here)
    throw UsageError("'", url,
                     "' is not encrypted: anybody on the way could change it; want https");
}

std::string origin_of(const std::string& url) {
  const UrlParts parts = parts_of(url);
  return concat(parts.scheme, "://", parts.host, ":", parts.port);
}

}  // namespace vit22b
