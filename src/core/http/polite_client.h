#pragma once
#include <memory>
#include <string>
#include <vector>

#include "core/http/http.h"

namespace vit22b {

/// How servers are asked.
struct Manners {
  std::string token = {};           ///< sent to the origin below alone; "" for none
  std::string trusted_origin = {};  ///< as origin_of gives it
  int64_t timeout_s = 10;
  int64_t tries = 5;           ///< of a request that may do better the next time
  double first_pause_s = 1;    ///< between them, doubled each time
  double longest_wait_s = 60;  ///< that a server may ask for (Retry-After)
};

/// Asks servers with patience: follows redirects, to https or this machine alone, without ever
/// taking a token to another origin or back from there, and tries again what was cut off, was
/// silent, or was told to come later.
class PoliteClient {
 public:
  explicit PoliteClient(Manners manners);
  PoliteClient(Manners manners, std::unique_ptr<HttpSession> session);

  /// One exchange, redirects followed, as often as it takes.
  ///
  /// body     of a try that fails in the middle sees `begin` again; it says false to bytes that it
  ///          does not want
  /// returns  the last answer: of any status that the server meant
  /// throws   Stopped at a signal
  HttpAnswer get(const std::string& url, HttpBody& body);
  HttpAnswer head(const std::string& url);
  /// One try, redirects followed.
  HttpAnswer once(const HttpRequest& request, HttpBody& body);
  const Manners& manners() const { return manners_; }
  /// Waits before try number `again` (1 is the second), as long as the answer asks for.
  void pause(const HttpAnswer& answer, int64_t again) const;

 private:
  HttpRequest request_of(const std::string& url) const;
  HttpAnswer patiently(const HttpRequest& request, HttpBody& body);

  Manners manners_;
  std::unique_ptr<HttpSession> session_;
};

/// Whether another try may do better: no answer, one that broke off, 408, 429, 5xx.
bool may_do_better(const HttpAnswer& answer);
/// What went wrong, for people: "401", "no server answers at …".
std::string trouble_of(const HttpAnswer& answer);

/// Collects a text.
class TextBody : public HttpBody {
 public:
  explicit TextBody(size_t most) : most_(most) {}
  bool begin(const HttpAnswer&) override {
    text_.clear();
    return true;
  }
  bool add(std::span<const std::byte> bytes) override;
  const std::string& text() const { return text_; }
  bool is_too_long() const { return is_too_long_; }

 private:
  size_t most_;
  std::string text_;
  bool is_too_long_ = false;
};

}  // namespace vit22b
