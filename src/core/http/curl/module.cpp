#include <curl/curl.h>
#include <openssl/evp.h>

#include <algorithm>
#include <cstdlib>
#include <exception>

#include "core/http/http.h"

namespace vit22b {
namespace {

constexpr const char* kUserAgent = "vit22b";

/// What libcurl's callbacks see of an exchange.
struct Exchange {
  CURL* curl;
  const HttpRequest& request;
  HttpBody& body;
  HttpAnswer answer = {};
  bool has_begun = false, is_ended_here = false;
  std::exception_ptr error = {};  ///< of whoever takes the body: not through libcurl's frames

  bool begin() {
    if (has_begun) return true;
    has_begun = true;
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    answer.status = status;
    return body.begin(answer);
  }
};

std::string trimmed(std::string text) {
  const auto is_space = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  text.erase(text.begin(), std::find_if_not(text.begin(), text.end(), is_space));
  while (!text.empty() && is_space(text.back())) text.pop_back();
  return text;
}

size_t take_header(char* data, size_t, size_t size, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  const std::string line(data, size);
  // A new status line: what came before was a proxy's, or "100 Continue".
  if (line.starts_with("HTTP/")) exchange.answer.headers.clear();
  const size_t colon = line.find(':');
  if (colon == std::string::npos) return size;
  std::string name = line.substr(0, colon);
  std::transform(name.begin(), name.end(), name.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  exchange.answer.headers[name] = trimmed(line.substr(colon + 1));
  return size;
}

size_t take_body(char* data, size_t, size_t size, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  try {
    if (exchange.begin() && exchange.body.add(bytes)) return size;
  } catch (...) {
    exchange.error = std::current_exception();
  }
  exchange.is_ended_here = true;
  return CURL_WRITEFUNC_ERROR;
}

int ask_whether_to_stop(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<Exchange*>(user)->request.should_stop() ? 1 : 0;
}

HttpAnswer::Failure failure_of(CURLcode code) {
  using Failure = HttpAnswer::Failure;
  switch (code) {
    case CURLE_OK:
      return Failure::kNone;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
      return Failure::kNoServer;
    case CURLE_OPERATION_TIMEDOUT:
      return Failure::kSilent;
    case CURLE_ABORTED_BY_CALLBACK:
      return Failure::kStopped;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_ISSUER_ERROR:
      return Failure::kTls;
    default:
      return Failure::kBroken;
  }
}

// Certificates of one's own, as curl, OpenSSL and Python's requests name them.
const char* first_of(std::initializer_list<const char*> variables) {
  for (const char* variable : variables)
    if (const char* value = std::getenv(variable); value != nullptr && *value != '\0') return value;
  return nullptr;
}

class CurlSession : public HttpSession {
 public:
  CurlSession() : curl_(curl_easy_init()) {}
  ~CurlSession() override { curl_easy_cleanup(curl_); }
  CurlSession(const CurlSession&) = delete;
  CurlSession& operator=(const CurlSession&) = delete;

  HttpAnswer perform(const HttpRequest& request, HttpBody& body) override {
    Exchange exchange{curl_, request, body};
    curl_easy_reset(curl_);  // connections stay
    curl_slist* headers = nullptr;
    for (const std::string& header : request.headers)
      headers = curl_slist_append(headers, header.c_str());
    set_up(request, exchange, headers);
    char text[CURL_ERROR_SIZE] = {};
    curl_easy_setopt(curl_, CURLOPT_ERRORBUFFER, text);
    const CURLcode code = curl_easy_perform(curl_);
    if (code == CURLE_OK) exchange.begin();  // of an answer without a body
    if (code != CURLE_OK && !exchange.is_ended_here) {
      exchange.answer.failure = failure_of(code);
      exchange.answer.reason = *text != '\0' ? text : curl_easy_strerror(code);
    }
    const char* location = nullptr;
    curl_easy_getinfo(curl_, CURLINFO_REDIRECT_URL, &location);
    if (location != nullptr) exchange.answer.location = location;
    curl_easy_setopt(curl_, CURLOPT_HTTPHEADER, nullptr);
    curl_easy_setopt(curl_, CURLOPT_ERRORBUFFER, nullptr);
    curl_slist_free_all(headers);
    if (exchange.error != nullptr) std::rethrow_exception(exchange.error);
    return exchange.answer;
  }

 private:
  void set_up(const HttpRequest& request, Exchange& exchange, curl_slist* headers) {
    const auto set = [&](CURLoption option, auto value) { curl_easy_setopt(curl_, option, value); };
    set(CURLOPT_URL, request.url.c_str());
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_NOBODY, request.is_head ? 1L : 0L);
    set(CURLOPT_HTTPHEADER, headers);
    set(CURLOPT_USERAGENT, kUserAgent);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_CONNECTTIMEOUT, static_cast<long>(request.timeout_s));
    set(CURLOPT_LOW_SPEED_LIMIT, 1L);
    set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(request.timeout_s));
    set(CURLOPT_NOPROGRESS, 0L);
    set(CURLOPT_XFERINFOFUNCTION, &ask_whether_to_stop);
    set(CURLOPT_XFERINFODATA, static_cast<void*>(&exchange));
    set(CURLOPT_HEADERFUNCTION, &take_header);
    set(CURLOPT_HEADERDATA, static_cast<void*>(&exchange));
    set(CURLOPT_WRITEFUNCTION, &take_body);
    set(CURLOPT_WRITEDATA, static_cast<void*>(&exchange));
    // What is on this machine is not asked through a proxy.
    if (request.url.starts_with("http://")) set(CURLOPT_NOPROXY, "*");
    if (const char* file = first_of({"CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"}))
      set(CURLOPT_CAINFO, file);
    if (const char* folder = first_of({"SSL_CERT_DIR"})) set(CURLOPT_CAPATH, folder);
  }

  CURL* curl_;
};

class OpensslDigest : public Digest {
 public:
  explicit OpensslDigest(const char* name) : context_(EVP_MD_CTX_new()) {
    EVP_DigestInit_ex(context_, EVP_get_digestbyname(name), nullptr);
  }
  ~OpensslDigest() override { EVP_MD_CTX_free(context_); }
  OpensslDigest(const OpensslDigest&) = delete;
  OpensslDigest& operator=(const OpensslDigest&) = delete;

  void add(std::span<const std::byte> bytes) override {
    EVP_DigestUpdate(context_, bytes.data(), bytes.size());
  }
  std::string hex() override {
    constexpr const char* kDigits = "0123456789abcdef";
    unsigned char value[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    EVP_DigestFinal_ex(context_, value, &size);
    std::string text;
    for (unsigned int i = 0; i < size; ++i) {
      text.push_back(kDigits[value[i] >> 4]);
      text.push_back(kDigits[value[i] & 15]);
    }
    return text;
  }

 private:
  EVP_MD_CTX* context_;
};

class CurlModule : public HttpModule {
 public:
  CurlModule() { curl_global_init(CURL_GLOBAL_DEFAULT); }
  ~CurlModule() override { curl_global_cleanup(); }
  CurlModule(const CurlModule&) = delete;
  CurlModule& operator=(const CurlModule&) = delete;
  std::unique_ptr<HttpSession> make_session() const override {
    return std::make_unique<CurlSession>();
  }
  std::unique_ptr<Digest> make_digest(const char* name) const override {
    return std::make_unique<OpensslDigest>(name);
  }
};

}  // namespace
}  // namespace vit22b

extern "C" __attribute__((visibility("default"))) vit22b::HttpModule* vit22b_http_module_1() {
  return new vit22b::CurlModule;  // the loader owns it
}
