#include <algorithm>
#include <nlohmann/json.hpp>

#include "checkpoint/hub_checkpoint.h"
#include "checkpoint/inner_tower.h"
#include "core/http/polite_client.h"
#include "core/hub/hub_cache.h"
#include "core/hub/hub_model.h"
#include "core/json.h"
#include "fuzz/input.h"

namespace {

using namespace vit22b;

/// A server that answers line by line what the input says: "STATUS LOCATION", then headers, then an
/// empty line and the next answer.
class ScriptedSession : public HttpSession {
 public:
  explicit ScriptedSession(const std::string& script) : lines_(split(script, '\n')) {}

  HttpAnswer perform(const HttpRequest& request, HttpBody& body) override {
    const bool has_token =
        std::any_of(request.headers.begin(), request.headers.end(),
                    [](const std::string& header) { return header.starts_with("Authorization"); });
    VIT22B_CHECK(!has_token || origin_of(request.url) == origin_of(kHome), "the token went to ",
                 request.url);
    VIT22B_CHECK(
        request.url.starts_with("https://") || request.url.starts_with("http://127.0.0.1") ||
            request.url.starts_with("http://localhost") || request.url.starts_with("http://[::1]"),
        "asked ", request.url);
    HttpAnswer answer;
    const std::vector<std::string> first = split(next(), ' ');
    if (!first.empty()) answer.status = std::atoi(first[0].c_str());
    if (first.size() > 1) answer.location = first[1];
    for (std::string line = next(); !line.empty(); line = next())
      if (const size_t colon = line.find(':'); colon != std::string::npos)
        answer.headers[line.substr(0, colon)] = line.substr(colon + 1);
    if (body.begin(answer)) body.add(std::as_bytes(std::span(kBytes)));
    return answer;
  }

  static constexpr const char* kHome = "https://hub.example/file";

 private:
  std::string next() { return at_ < lines_.size() ? lines_[at_++] : ""; }

  static constexpr std::string_view kBytes = "bytes of a file";
  std::vector<std::string> lines_;
  size_t at_ = 0;
};

void read_listing(const std::string& text) {
  const HubName name = parse_hub_name("hf:me/model");
  const HubListing listing = parse_hub_listing(text, name);
  const HubCache cache("/cache", name);
  std::vector<std::string> names;
  for (const HubFile& file : listing.files) {
    const std::filesystem::path place =
        (cache.snapshot(listing.commit) / file.name).lexically_normal();
    VIT22B_CHECK(place.string().starts_with("/cache/models--me--model/snapshots/"), "a file at ",
                 place.string());
    VIT22B_CHECK(file.hash().empty() || is_blob_hash(file.hash()), "a blob called ", file.hash());
    names.push_back(file.name);
  }
  files_beside(listing, weights_among(names, "", "it"));
}

void read_name(const std::string& text) {
  const HubName name = parse_hub_name("hf:" + text);
  VIT22B_CHECK(parse_hub_name(name.text()).text() == name.text(), "another name: ", name.text());
  const std::string folder = HubCache("/cache", name).folder().lexically_normal().string();
  VIT22B_CHECK(folder.starts_with("/cache/models--") && folder.find('/', 7) == std::string::npos,
               "a folder ", folder);
}

void read_towers(const std::string& text) {
  const auto config = parse_json_line<nlohmann::ordered_json>(text);
  if (config.is_object()) inner_towers(config, "config.json");
}

void ask(const std::string& script) {
  PoliteClient client({.token = "secret",
                       .trusted_origin = origin_of(ScriptedSession::kHome),
                       .tries = 3,
                       .first_pause_s = 0,
                       .longest_wait_s = 0},
                      std::make_unique<ScriptedSession>(script));
  TextBody body(100);
  client.get(ScriptedSession::kHome, body);
  client.head(ScriptedSession::kHome);
}

}  // namespace

// What a hub says: lists of files, names, configs of larger models, and servers' answers. The first
// byte says which.
// readers: core/hub/hub_listing.cpp core/hub/hub_name.cpp core/http/polite_client.cpp
//          core/http/http.cpp checkpoint/inner_tower.cpp checkpoint/hub_checkpoint.cpp
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string text(fuzz::text_of(data + 1, size - 1));
  constexpr void (*kReaders[])(const std::string&) = {read_listing, read_name, read_towers, ask};
  return fuzz::read([&] { kReaders[data[0] % 4](text); });
}
