#include "checkpoint/hub_checkpoint.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <optional>

#include "checkpoint/container/safetensors_writer.h"
#include "checkpoint/model_info.h"
#include "checkpoint/weights.h"
#include "core/error.h"
#include "core/hub/hub_cache.h"
#include "support/digest.h"
#include "support/files.h"
#include "support/http_server.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;
using test::Asked;
using test::HttpServer;
using test::Reply;

const std::string kCommit = "89abcdef0123456789abcdef0123456701234567";

/// A hub whose one model, me/model, has these files.
struct FakeHub {
  std::map<std::string, std::string> files;

  Reply operator()(const Asked& asked) const {
    const std::string tree = "/me/model/resolve/" + kCommit + "/";
    if (asked.path == "/api/models/me/model/revision/main?blobs=true") {
      std::string siblings;
      for (const auto& [name, bytes] : files)
        siblings += concat(siblings.empty() ? "" : ",", R"({"rfilename":")", name, R"(","size":)",
                           bytes.size(), R"(,"lfs":{"sha256":")", test::sha256_of(bytes), R"("}})");
      return {.body = concat(R"({"sha":")", kCommit, R"(","siblings":[)", siblings, "]}")};
    }
    if (asked.path.starts_with(tree))
      if (const auto it = files.find(asked.path.substr(tree.size())); it != files.end())
        return {.body = it->second};
    if (asked.path.starts_with("/plain/"))
      if (const auto it = files.find(asked.path.substr(7)); it != files.end())
        return {.body = it->second};
    return {.status = 404};
  }
};

/// XDG_CACHE_HOME for as long as it lives.
class UserCache {
 public:
  explicit UserCache(const fs::path& folder) {
    if (const char* before = std::getenv(kName)) before_ = before;
    ::setenv(kName, folder.c_str(), 1);
  }
  ~UserCache() { before_ ? ::setenv(kName, before_->c_str(), 1) : ::unsetenv(kName); }
  UserCache(const UserCache&) = delete;
  UserCache& operator=(const UserCache&) = delete;

 private:
  static constexpr const char* kName = "XDG_CACHE_HOME";
  std::optional<std::string> before_;
};

FakeHub hub_of(const fs::path& folder, const std::string& below = "") {
  FakeHub hub;
  for (const char* name : {"config.json", "model.safetensors"})
    hub.files[below + name] = test::read_file(folder / name);
  hub.files["README.md"] = "read me";
  hub.files["flax_model.msgpack"] = std::string(100'000, 'f');
  return hub;
}

const fs::path kOracle = test::source_path("tests/oracle/timm_serial");

/// A server, and a cache of its own.
struct Place {
  explicit Place(FakeHub files) : hub(std::move(files)) {}
  FakeHub hub;
  test::TempFolder home;
  HttpServer server{[this](const Asked& asked) { return hub(asked); }};
  HubSettings settings(bool is_offline = false) const {
    return {.endpoint = server.url(),
            .cache = home / "hub",
            .token = "",
            .is_offline = is_offline,
            .first_pause_s = 0.01};
  }
};

std::string refusal(const std::string& name, const HubSettings& settings) {
  try {
    hub_checkpoint(name, settings);
  } catch (const CheckpointError& e) {
    return e.what();
  }
  return "";
}

TEST(HubCheckpoint, IsReadAsTheFolderThatTheHubHas) {
  const Place place(hub_of(kOracle));
  const CheckpointPath found = hub_checkpoint("hf:me/model", place.settings());
  EXPECT_EQ(weights_identity(found), weights_identity(resolve_checkpoint(kOracle)));
  EXPECT_EQ(read_model_info(found).config.depth,
            read_model_info(resolve_checkpoint(kOracle)).config.depth);
  EXPECT_FALSE(fs::exists(found.folder / "flax_model.msgpack")) << "what is not read stays there";
  // From then on nobody is asked, and offline it is the same.
  const size_t asked = place.server.asked().size();
  EXPECT_EQ(hub_checkpoint("hf:me/model", place.settings()).folder, found.folder);
  EXPECT_EQ(hub_checkpoint("hf:me/model", place.settings(true)).folder, found.folder);
  EXPECT_EQ(hub_checkpoint("hf:me/model@" + kCommit, place.settings(true)).folder, found.folder);
  EXPECT_EQ(place.server.asked().size(), asked);
}

TEST(HubCheckpoint, AFileThatIsNamedIsTheOneThatIsUsedWithTheConfigBesideIt) {
  FakeHub hub = hub_of(kOracle, "sub/");
  hub.files["config.json"] = R"({"another": 1})";
  const Place place(hub);
  const CheckpointPath found =
      hub_checkpoint("hf:me/model:sub/model.safetensors", place.settings());
  EXPECT_EQ(found.weights, "model.safetensors");
  EXPECT_EQ(read_model_info(found).config.depth,
            read_model_info(resolve_checkpoint(kOracle)).config.depth);
}

TEST(HubCheckpoint, ShardsAreFetchedWithTheirIndex) {
  FakeHub hub = hub_of(kOracle);
  hub.files["model-00001-of-00001.safetensors"] = hub.files["model.safetensors"];
  hub.files.erase("model.safetensors");
  std::string map;
  for (const std::string& name : open_weights(resolve_checkpoint(kOracle)).names())
    map += concat(map.empty() ? "" : ",", '"', name, R"(":"model-00001-of-00001.safetensors")");
  hub.files["model.safetensors.index.json"] = concat(R"({"weight_map":{)", map, "}}");
  const Place place(hub);
  const CheckpointPath found = hub_checkpoint("hf:me/model", place.settings());
  EXPECT_EQ(open_weights(found).names().size(),
            open_weights(resolve_checkpoint(kOracle)).names().size());
}

TEST(HubCheckpoint, ACacheThatLacksThePreprocessingIsCompleted) {
  FakeHub hub = hub_of(kOracle);
  const Place first(hub);
  const CheckpointPath found = hub_checkpoint("hf:me/model", first.settings());
  // As if another program had fetched config and weights alone.
  fs::remove_all(found.folder.parent_path().parent_path() / ".no_exist");
  hub.files["preprocessor_config.json"] = R"({"image_mean": [0.5, 0.5, 0.5]})";
  const HttpServer server([&](const Asked& asked) { return hub(asked); });
  HubSettings settings = first.settings();
  settings.endpoint = server.url();
  hub_checkpoint("hf:me/model", settings);
  EXPECT_TRUE(fs::exists(found.folder / "preprocessor_config.json"));
}

// Two models of one repository, each with its tower: neither is taken for the other.
TEST(HubCheckpoint, TowersOutOfTwoFilesAreKeptApart) {
  const auto model_of = [](float value) {
    const test::TempFolder folder;
    FileOps ops(ExitCode::kCheckpoint);
    write_safetensors(
        ops, folder / "m",
        {{"vision_tower.a", at::full({2}, value)}, {"language_model.b", at::zeros({3})}});
    return test::read_file(folder / "m");
  };
  FakeHub hub;
  for (const auto& [folder, value] : {std::pair{"one/", 1.0F}, {"two/", 2.0F}}) {
    hub.files[concat(folder, "config.json")] = R"({"model_type":"llava","vision_config":{}})";
    hub.files[concat(folder, "model.safetensors")] = model_of(value);
  }
  const Place place(hub);
  const UserCache cache(place.home.path());
  const auto value_of = [&](const std::string& file) {
    const CheckpointPath found = hub_checkpoint("hf:me/model:" + file, place.settings());
    return open_weights(found).load("a")[0].item<float>();
  };
  EXPECT_EQ(value_of("one/model.safetensors"), 1);
  EXPECT_EQ(value_of("two/model.safetensors"), 2);
  EXPECT_EQ(value_of("one/model.safetensors"), 1);
}

TEST(HubCheckpoint, WhatIsNotThereIsSaid) {
  FakeHub hub = hub_of(kOracle);
  const Place place(hub);
  EXPECT_NE(refusal("hf:me/model:model.safetensor", place.settings())
                .find("did you mean 'model.safetensors'"),
            std::string::npos);
  EXPECT_NE(refusal("hf:me/another", place.settings()).find("404"), std::string::npos);
  EXPECT_NE(refusal("hf:me/model", place.settings(true)).find("HF_HUB_OFFLINE"), std::string::npos);
  hub.files.erase("model.safetensors");
  const Place none(hub);
  EXPECT_NE(refusal("hf:me/model", none.settings()).find("no file of weights"), std::string::npos);
  hub.files["a.safetensors"] = hub.files["b.safetensors"] = "x";
  const Place several(hub);
  EXPECT_NE(refusal("hf:me/model", several.settings()).find("name the one that is meant"),
            std::string::npos);
}

TEST(HubCheckpoint, WithoutAServerTheCacheIsUsed) {
  HubSettings settings;
  const Place place(hub_of(kOracle));
  const fs::path folder = hub_checkpoint("hf:me/model", place.settings()).folder;
  fs::remove_all(folder.parent_path().parent_path() / ".no_exist");
  settings = place.settings();
  settings.endpoint = "http://127.0.0.1:1";
  EXPECT_EQ(hub_checkpoint("hf:me/model", settings).folder, folder);
}

TEST(UrlCheckpoint, IsKeptWithTheConfigBesideIt) {
  const Place place(hub_of(kOracle));
  const UserCache cache(place.home.path());
  const std::string url = place.server.url() + "/plain/model.safetensors";
  const CheckpointPath found = url_checkpoint(url, place.settings());
  EXPECT_EQ(weights_identity(found), weights_identity(resolve_checkpoint(kOracle)));
  const size_t asked = place.server.asked().size();
  EXPECT_EQ(url_checkpoint(url, place.settings(true)).folder, found.folder);
  EXPECT_EQ(place.server.asked().size(), asked);
  EXPECT_THROW(url_checkpoint(place.server.url() + "/plain/page.html", place.settings()),
               CheckpointError);
}

}  // namespace
}  // namespace vit22b
