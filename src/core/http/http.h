#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace vit22b {

/// One exchange with a server. Redirects are not followed: whoever asks decides what goes on with
/// them.
struct HttpRequest {
  std::string url;
  bool is_head = false;
  std::vector<std::string> headers = {};  ///< "Name: value"
  int64_t timeout_s = 10;  ///< of making the connection, and of a connection that gives nothing
  std::function<bool()> should_stop = [] { return false; };
};

/// How an exchange ended. A server that answers has a status; with `failure` it did not answer to
/// the end.
struct HttpAnswer {
  enum class Failure { kNone, kNoServer, kTls, kSilent, kBroken, kStopped, kRefusedHere };

  int64_t status = 0;
  std::map<std::string, std::string> headers = {};  ///< names in lower case; of several the last
  std::string location = {};                        ///< where a redirect leads, absolute; or ""
  Failure failure = Failure::kNone;
  std::string reason = {};  ///< of the failure, for people

  /// "" where the server said nothing of it.
  std::string header(const std::string& name) const;
};

/// A size in bytes that a header says; -1 where it says none.
int64_t size_in_header(const std::string& text);

/// Takes what a server sends.
class HttpBody {
 public:
  virtual ~HttpBody() = default;
  /// Told when the status and headers are there, before any byte. False ends the exchange.
  virtual bool begin(const HttpAnswer& answer) = 0;
  /// False ends the exchange.
  virtual bool add(std::span<const std::byte> bytes) = 0;
};

/// Connections to servers, kept open from one exchange to the next. Of one thread at a time.
class HttpSession {
 public:
  virtual ~HttpSession() = default;
  virtual HttpAnswer perform(const HttpRequest& request, HttpBody& body) = 0;
};

/// A hash of bytes, by name of the algorithm.
class Digest {
 public:
  virtual ~Digest() = default;
  virtual void add(std::span<const std::byte> bytes) = 0;
  /// In hexadecimal digits; once.
  virtual std::string hex() = 0;
};

/// What libvit22b_http.so offers: libcurl and OpenSSL's hashes, which only downloads need.
class HttpModule {
 public:
  virtual ~HttpModule() = default;
  virtual std::unique_ptr<HttpSession> make_session() const = 0;
  /// name  "sha256" or "sha1"
  virtual std::unique_ptr<Digest> make_digest(const char* name) const = 0;
};

/// The module, loaded at the first call.
///
/// throws  UsageError where it is not installed or does not load
const HttpModule& http_module();

/// The module exports a function of this name and type. The number goes up when the interfaces
/// here change.
using MakeHttpModule = HttpModule* (*)();
constexpr const char* kHttpModuleSymbol = "vit22b_http_module_1";

/// Whether this is a URL that may be asked: https, or http to this machine alone.
///
/// throws  UsageError saying what it is instead
void check_url(const std::string& url);
/// "https://host:port" of a URL, in lower case: what decides who is trusted with a token.
std::string origin_of(const std::string& url);

}  // namespace vit22b
