#include "core/http/range.h"

#include "core/error.h"
#include "core/signals.h"

namespace vit22b {
namespace {

/// A range's bytes as they come.
class RangeBody : public HttpBody {
 public:
  RangeBody(const ByteRange& range, const PutBytes& put, const std::function<bool()>& is_given_up)
      : range_(range), put_(put), is_given_up_(is_given_up) {}

  bool begin(const HttpAnswer& answer) override {
    if (answer.status == 206)
      return answer.header("content-range").starts_with(concat("bytes ", at(), "-"));
    if (answer.status != 200) return false;
    // The whole file, whatever was asked for.
    is_whole_file_ = at() > 0;
    return !is_whole_file_;
  }

  bool add(std::span<const std::byte> bytes) override {
    if (is_given_up_()) return false;
    if (range_.end >= 0) {
      const auto room = static_cast<size_t>(range_.end - at());
      if (bytes.size() > room) bytes = bytes.first(room);
      if (bytes.empty()) return false;  // more than was asked for
    }
    put_(at(), bytes);
    done_ += static_cast<int64_t>(bytes.size());
    return true;
  }

  int64_t at() const { return range_.first + done_; }
  int64_t done() const { return done_; }
  bool is_complete() const { return range_.end >= 0 && at() == range_.end; }
  /// Whether the server began the file anew, of which a later part is wanted.
  bool is_whole_file() const { return is_whole_file_; }
  void begin_again() {
    done_ = 0;
    is_whole_file_ = false;
  }

 private:
  const ByteRange& range_;
  const PutBytes& put_;
  const std::function<bool()>& is_given_up_;
  int64_t done_ = 0;
  bool is_whole_file_ = false;
};

HttpRequest request_of(const PoliteClient& client, const RemoteFile& file, const ByteRange& range,
                       int64_t at) {
  HttpRequest request{.url = file.url};
  request.timeout_s = client.manners().timeout_s;
  if (at > 0 || range.end >= 0)
    request.headers = {concat("Range: bytes=", at, "-",
                              range.end < 0 ? std::string() : std::to_string(range.end - 1))};
  return request;
}

}  // namespace

RangeEnd fetch_range(PoliteClient& client, const RemoteFile& file, const ByteRange& range,
                     const PutBytes& put, const std::function<bool()>& is_given_up) {
  RangeBody body(range, put, is_given_up);
  for (int64_t again = 1;; ++again) {
    const int64_t before = body.at();
    HttpRequest request = request_of(client, file, range, body.at());
    request.should_stop = [&] { return stop_signal() != 0 || is_given_up(); };
    const HttpAnswer answer = client.once(request, body);
    if (is_given_up()) return RangeEnd::kGivenUp;
    if (body.is_complete()) return RangeEnd::kWhole;
    const bool has_ended_well = answer.failure == HttpAnswer::Failure::kNone &&
                                (answer.status == 200 || answer.status == 206);
    if (body.is_whole_file() && range.first > 0) return RangeEnd::kNoRanges;
    if (body.is_whole_file())
      body.begin_again();
    else if (has_ended_well && range.end < 0)
      return RangeEnd::kWhole;
    if (!has_ended_well && !may_do_better(answer))
      throw CheckpointError(refusal_text(answer, file));
    if (body.at() > before) again = 1;
    if (again >= client.manners().tries)
      throw CheckpointError(has_ended_well
                                ? concat("the server gives other bytes of ", file.name,
                                         " than it was asked for: ", body.done(), " of ",
                                         range.end - range.first, " came; nothing of them is used")
                                : refusal_text(answer, file));
    client.pause(answer, again);
  }
}

std::string refusal_text(const HttpAnswer& answer, const RemoteFile& file) {
  const std::string& where = file.name;
  const std::string code = answer.header("x-error-code");
  if (answer.failure != HttpAnswer::Failure::kNone)
    return concat(where, " cannot be fetched: ", trouble_of(answer));
  switch (answer.status) {
    case 401:
      return concat(where, " is not there, or not for everybody (401): look at its name, or set ",
                    "HF_TOKEN to a token that may read it");
    case 403:
      return concat(where, " is not for this token (403): ",
                    code == "GatedRepo" ? "its owner grants access on the model's page"
                                        : "the token may not read it");
    case 404:
      return concat(where, " is not there (404): ",
                    code == "RevisionNotFound" ? "no branch, tag or commit has that name"
                                               : "look at its name and revision");
    default:
      return concat(where, " cannot be fetched: ", trouble_of(answer));
  }
}

}  // namespace vit22b
