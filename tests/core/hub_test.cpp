#include <gtest/gtest.h>

#include <thread>

#include "core/error.h"
#include "core/hub/hub_model.h"
#include "core/hub/hub_name.h"
#include "support/digest.h"
#include "support/files.h"
#include "support/http_server.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;
using test::Asked;
using test::HttpServer;
using test::Reply;

const std::string kCommit = "0123456789abcdef0123456789abcdef01234567";

/// A hub with one model: a small file that git has, and a large one.
struct SmallHub {
  std::string config = R"({"a": 1})", weights = std::string(5'000, 'w');
  std::string listing() const {
    const std::string blob = concat("blob ", config.size(), std::string(1, '\0'), config);
    return concat(R"({"sha":")", kCommit, R"(","siblings":[{"rfilename":"config.json","size":)",
                  config.size(), R"(,"blobId":")", test::digest_of("sha1", blob),
                  R"("},{"rfilename":"model.safetensors","size":)", weights.size(),
                  R"(,"blobId":"00","lfs":{"sha256":")", test::digest_of("sha256", weights),
                  R"(","size":)", weights.size(), R"(}},{"rfilename":"../../evil","size":1}]})");
  }
  Reply answer(const Asked& asked) const {
    const std::string base = "/me/model/resolve/" + kCommit + "/";
    if (asked.path == "/api/models/me/model/revision/main?blobs=true") return {.body = listing()};
    if (asked.path == base + "config.json") return {.body = config};
    if (asked.path == base + "model.safetensors") return {.body = weights};
    return {.status = 404, .headers = {{"X-Error-Code", "RepoNotFound"}}};
  }
};

HubSettings settings_of(const HttpServer& server, const test::TempFolder& home) {
  return {.endpoint = server.url(), .cache = home / "hub", .token = "", .first_pause_s = 0.01};
}

TEST(HubName, IsOwnerNameRevisionAndFile) {
  const HubName plain = parse_hub_name("hf:google/vit-base_16.v2");
  EXPECT_EQ(plain.repository(), "google/vit-base_16.v2");
  EXPECT_EQ(plain.revision, "main");
  const HubName full = parse_hub_name("hf:a/b@refs/pr/1:sub/x.safetensors");
  EXPECT_EQ(full.revision, "refs/pr/1");
  EXPECT_EQ(full.file, "sub/x.safetensors");
  EXPECT_EQ(full.text(), "hf:a/b@refs/pr/1:sub/x.safetensors");
}

TEST(HubName, WhatLeadsOutOfAFolderIsRefused) {
  for (const char* text : {"hf:", "hf:a", "hf:a/b/c", "hf:../b", "hf:a/..", "hf:a/b:../x",
                           "hf:a/b:/etc/passwd", "hf:a/b:x//y", "hf:a/b@../main", "hf:a/b:x\\y",
                           "hf:a--b/c", "hf:-a/b", "hf:a/b:", "hf:a/b@", "hf:a/b:./x"})
    EXPECT_THROW(parse_hub_name(text), UsageError) << text;
}

TEST(HubListing, NamesThatLeadElsewhereAreLeftOutAndHashesThatAreNoneNotTaken) {
  const HubListing listing = parse_hub_listing(
      concat(R"({"sha":")", kCommit,
             R"(","siblings":[{"rfilename":"a/../../b"},{"rfilename":"/c"},3,{},)",
             R"({"rfilename":"ok","size":-1,"blobId":"../../x"},{"rfilename":"d","size":1e300}]})"),
      parse_hub_name("hf:me/model"));
  ASSERT_EQ(listing.files.size(), 2U);
  EXPECT_EQ(listing.files[0].name, "ok");
  EXPECT_EQ(listing.files[0].hash(), "");
  EXPECT_EQ(listing.files[0].size_bytes, -1);
}

TEST(HubListing, WhatIsNoneIsNamed) {
  for (const char* json : {"", "[]", "{}", R"({"sha":"main","siblings":[]})", "<html>",
                           R"({"sha":"0123456789abcdef0123456789abcdef01234567","siblings":3})"})
    EXPECT_THROW(parse_hub_listing(json, parse_hub_name("hf:me/model")), CheckpointError) << json;
}

TEST(HubModel, FetchesIntoTheHubsOwnLayout) {
  const SmallHub hub;
  const HttpServer server([&](const Asked& asked) { return hub.answer(asked); });
  const test::TempFolder home;
  HubModel model(parse_hub_name("hf:me/model"), settings_of(server, home));
  EXPECT_EQ(model.cached(), fs::path());
  model.listing({"preprocessor_config.json"});
  const fs::path snapshot = model.fetch({"config.json", "model.safetensors"});
  const fs::path folder = home / "hub" / "models--me--model";
  EXPECT_EQ(snapshot, folder / "snapshots" / kCommit);
  EXPECT_EQ(test::read_file(snapshot / "config.json"), hub.config);
  EXPECT_EQ(test::read_file(folder / "refs" / "main"), kCommit);
  EXPECT_EQ(fs::read_symlink(snapshot / "model.safetensors"),
            fs::path("../../blobs") / test::digest_of("sha256", hub.weights));
  EXPECT_TRUE(fs::exists(folder / ".no_exist" / kCommit / "preprocessor_config.json"));
  EXPECT_TRUE(model.knows("preprocessor_config.json"));
  EXPECT_FALSE(model.knows("tokenizer.json"));
  // What is there is not asked for again.
  const size_t asked = server.asked().size();
  model.fetch({"config.json", "model.safetensors"});
  EXPECT_EQ(server.asked().size(), asked);
}

TEST(HubModel, HashesThatTheListingDoesNotNameAreLookedUp) {
  SmallHub hub;
  const HttpServer server([&](const Asked& asked) {
    if (asked.path.starts_with("/api/"))
      return Reply{.body = concat(R"({"sha":")", kCommit,
                                  R"(","siblings":[{"rfilename":"model.safetensors"}]})")};
    Reply reply = hub.answer(asked);
    if (asked.method == "HEAD")
      reply = {
          .status = 302,
          .headers = {{"X-Linked-Etag", concat('"', test::digest_of("sha256", hub.weights), '"')},
                      {"X-Linked-Size", std::to_string(hub.weights.size())},
                      {"Location", "https://203.0.113.9/never-asked"}}};
    return reply;
  });
  const test::TempFolder home;
  HubModel model(parse_hub_name("hf:me/model"), settings_of(server, home));
  EXPECT_EQ(test::read_file(model.fetch({"model.safetensors"}) / "model.safetensors"), hub.weights);
}

TEST(HubModel, TwoAtATimeShareOneDownload) {
  const SmallHub hub;
  const HttpServer server([&](const Asked& asked) {
    Reply reply = hub.answer(asked);
    if (asked.path.ends_with("model.safetensors")) reply.waits_s = 0.2;
    return reply;
  });
  const test::TempFolder home;
  const auto fetch = [&] {
    HubModel model(parse_hub_name("hf:me/model"), settings_of(server, home));
    model.fetch({"model.safetensors"});
  };
  std::thread other(fetch);
  fetch();
  other.join();
  EXPECT_LT(server.sent_bytes(), 2 * 5'000) << "the second one waits and finds it there";
}

TEST(HubModel, AModelThatIsNotThereSaysSo) {
  const SmallHub hub;
  const HttpServer server([&](const Asked& asked) { return hub.answer(asked); });
  const test::TempFolder home;
  HubModel model(parse_hub_name("hf:me/other"), settings_of(server, home));
  try {
    model.listing({});
    FAIL();
  } catch (const CheckpointError& e) {
    EXPECT_NE(std::string(e.what()).find("hf:me/other is not there"), std::string::npos)
        << e.what();
  }
}

TEST(HubModel, PathsAreEscapedInAddresses) {
  EXPECT_EQ(url_path("a b/c?d#%é"), "a%20b/c%3Fd%23%25%C3%A9");
}

}  // namespace
}  // namespace vit22b
