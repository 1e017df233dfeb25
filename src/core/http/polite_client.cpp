#include "core/http/polite_client.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <thread>

#include "core/error.h"
#include "core/log.h"
#include "core/printable.h"
#include "core/signals.h"

namespace vit22b {
namespace {

constexpr int kMostRedirects = 6;

bool is_redirect(int64_t status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/// Nothing is wanted of it.
class NoBody : public HttpBody {
 public:
  bool begin(const HttpAnswer&) override { return true; }
  bool add(std::span<const std::byte>) override { return false; }
};

/// Shows the body to whoever wants it only where the answer is not another address.
class BehindRedirects : public HttpBody {
 public:
  explicit BehindRedirects(HttpBody& inner) : inner_(inner) {}
  bool begin(const HttpAnswer& answer) override {
    is_redirect_ = is_redirect(answer.status);
    return is_redirect_ || inner_.begin(answer);
  }
  bool add(std::span<const std::byte> bytes) override { return !is_redirect_ && inner_.add(bytes); }

 private:
  HttpBody& inner_;
  bool is_redirect_ = false;
};

void check_not_stopped() {
  if (stop_signal() != 0)
    throw Stopped("stopped while downloading; the same command goes on where it was");
}

}  // namespace

bool TextBody::add(std::span<const std::byte> bytes) {
  if (text_.size() + bytes.size() > most_) {
    is_too_long_ = true;
    return false;
  }
  text_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return true;
}

bool may_do_better(const HttpAnswer& answer) {
  using Failure = HttpAnswer::Failure;
  if (answer.failure == Failure::kNoServer || answer.failure == Failure::kSilent ||
      answer.failure == Failure::kBroken)
    return true;
  return answer.failure == Failure::kNone &&
         (answer.status == 408 || answer.status == 429 || answer.status >= 500);
}

std::string trouble_of(const HttpAnswer& answer) {
  using Failure = HttpAnswer::Failure;
  std::string reason = printable(answer.reason);
  switch (answer.failure) {
    case Failure::kNone:
      return answer.status == 429 ? "the server asks to come later (429)"
             : answer.status >= 500
                 ? concat("the server has trouble of its own (", answer.status, ")")
             : answer.status == 416 ? "the server's file is shorter than it was announced (416)"
                                    : concat("the server answers ", answer.status);
    case Failure::kNoServer:
      return "no server answers: " + reason;
    case Failure::kTls:
      return "the server's certificate is not trusted: " + reason +
             " (SSL_CERT_FILE=FILE gives certificates of your own)";
    case Failure::kSilent:
      return "the server falls silent: " + reason;
    case Failure::kBroken:
      return "the connection breaks off: " + reason;
    case Failure::kStopped:
      return "stopped";
    case Failure::kRefusedHere:
      return reason;
  }
  return reason;
}

PoliteClient::PoliteClient(Manners manners)
    : manners_(std::move(manners)), session_(http_module().make_session()) {}

PoliteClient::PoliteClient(Manners manners, std::unique_ptr<HttpSession> session)
    : manners_(std::move(manners)), session_(std::move(session)) {}

HttpRequest PoliteClient::request_of(const std::string& url) const {
  HttpRequest request{.url = url};
  request.timeout_s = manners_.timeout_s;
  request.should_stop = [] { return stop_signal() != 0; };
  return request;
}

HttpAnswer PoliteClient::once(const HttpRequest& first, HttpBody& body) {
  HttpRequest request = first;
  bool is_trusted = true;  // until it has been elsewhere
  for (int hop = 0; hop < kMostRedirects; ++hop) {
    check_not_stopped();
    try {
      check_url(request.url);
    } catch (const UsageError& e) {
      if (hop == 0) throw;
      HttpAnswer refused{.failure = HttpAnswer::Failure::kRefusedHere};
      refused.reason = concat("the server sends on to an address that is not asked: ", e.what());
      return refused;
    }
    is_trusted = is_trusted && origin_of(request.url) == manners_.trusted_origin;
    request.headers = first.headers;
    if (is_trusted && !manners_.token.empty())
      request.headers.push_back("Authorization: Bearer " + manners_.token);
    BehindRedirects behind(body);
    HttpAnswer answer = session_->perform(request, behind);
    if (answer.failure == HttpAnswer::Failure::kStopped) check_not_stopped();
    // What the first answer says of a file, the place that it sends on to does not know.
    const bool goes_on = answer.failure == HttpAnswer::Failure::kNone &&
                         is_redirect(answer.status) && !answer.location.empty();
    if (!goes_on || (request.is_head && !answer.header("x-linked-etag").empty())) return answer;
    request.url = answer.location;
  }
  HttpAnswer refused{.failure = HttpAnswer::Failure::kRefusedHere};
  refused.reason = "the server sends from one address to the next without end";
  return refused;
}

void PoliteClient::pause(const HttpAnswer& answer, int64_t again) const {
  double seconds =
      manners_.first_pause_s * static_cast<double>(int64_t{1} << std::min<int64_t>(again - 1, 10));
  const std::string asked = answer.header("retry-after");
  double wanted = 0;
  const auto [end, error] = std::from_chars(asked.data(), asked.data() + asked.size(), wanted);
  if (error == std::errc() && wanted > 0) seconds = std::max(seconds, wanted);
  seconds = std::min(seconds, manners_.longest_wait_s);
  if (seconds >= 1)
    log_info(concat(trouble_of(answer), "; trying again in ", formatted("%.0f s", seconds)));
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (std::chrono::steady_clock::now() < until) {
    check_not_stopped();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

HttpAnswer PoliteClient::patiently(const HttpRequest& request, HttpBody& body) {
  for (int64_t again = 1;; ++again) {
    HttpAnswer answer = once(request, body);
    if (!may_do_better(answer) || again >= manners_.tries) return answer;
    pause(answer, again);
  }
}

HttpAnswer PoliteClient::get(const std::string& url, HttpBody& body) {
  return patiently(request_of(url), body);
}

HttpAnswer PoliteClient::head(const std::string& url) {
  HttpRequest request = request_of(url);
  request.is_head = true;
  NoBody none;
  return patiently(request, none);
}

}  // namespace vit22b
