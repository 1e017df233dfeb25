#include "core/http/download.h"

#include <gtest/gtest.h>

#include <thread>

#include "core/error.h"
#include "support/digest.h"
#include "support/files.h"
#include "support/http_server.h"

namespace vit22b {
namespace {

using test::Asked;
using test::HttpServer;
using test::Reply;

constexpr int64_t kPart = 1000;

std::string some_bytes(size_t count) {
  std::string bytes(count, '\0');
  uint32_t state = 7;
  for (char& byte : bytes) {
    state = state * 1664525U + 1013904223U;
    byte = static_cast<char>(state >> 24U);
  }
  return bytes;
}

/// A download of one file into a folder of its own.
struct Trial {
  std::string bytes = some_bytes(10'500);
  test::TempFolder folder;
  DownloadOptions options{.manners = {.token = "secret", .timeout_s = 1, .first_pause_s = 0.01},
                          .connections = 3,
                          .part_bytes = kPart,
                          .is_quiet = true};

  std::filesystem::path path() const { return folder / "file"; }
  RemoteFile file(const std::string& url) const {
    return {url + "/file", "file", static_cast<int64_t>(bytes.size()), test::sha256_of(bytes)};
  }
  /// What it says, "" where it is there and right.
  std::string outcome(const HttpServer& server, const RemoteFile& file) {
    options.manners.trusted_origin = origin_of(server.url());
    FileOps ops(ExitCode::kCheckpoint);
    try {
      download(ops, file, path(), options);
    } catch (const CheckpointError& e) {
      return e.what();
    }
    return test::read_file(path()) == bytes ? "" : "other bytes";
  }
  std::string outcome(const HttpServer& server) { return outcome(server, file(server.url())); }
  bool is_nothing_left() const {
    return !std::filesystem::exists(path()) && !std::filesystem::exists(path().string() + ".parts");
  }
};

TEST(Download, BringsAFileInPartsOverSeveralConnections) {
  Trial trial;
  const HttpServer server([&](const Asked&) { return Reply{.body = trial.bytes}; });
  EXPECT_EQ(trial.outcome(server), "");
  EXPECT_EQ(server.asked().size(), 11U);
  EXPECT_EQ(server.asked().front().header("authorization"), "Bearer secret");
  EXPECT_FALSE(std::filesystem::exists(trial.path().string() + ".parts"));
}

TEST(Download, OfAServerWithoutRangesBringsTheFileInOnePiece) {
  Trial trial;
  const HttpServer server(
      [&](const Asked&) { return Reply{.body = trial.bytes, .honours_range = false}; });
  EXPECT_EQ(trial.outcome(server), "");
}

TEST(Download, OfUnknownSizeBringsWhatComes) {
  Trial trial;
  const HttpServer server([&](const Asked&) { return Reply{.body = trial.bytes}; });
  RemoteFile file = trial.file(server.url());
  file.size_bytes = -1;
  EXPECT_EQ(trial.outcome(server, file), "");
}

TEST(Download, GoesOnWhereAConnectionBreaksOff) {
  Trial trial;
  // Every answer ends after 300 bytes: a part takes four of them.
  const HttpServer server(
      [&](const Asked&) { return Reply{.body = trial.bytes, .drops_after = 300}; });
  EXPECT_EQ(trial.outcome(server), "");
  EXPECT_EQ(server.sent_bytes(), static_cast<int64_t>(trial.bytes.size()));
}

TEST(Download, GoesOnAfterASilenceAndATooManyRequestsAndAServersOwnTrouble) {
  for (const Reply& trouble : {Reply{.status = 429, .headers = {{"Retry-After", "0.01"}}},
                               Reply{.status = 503}, Reply{.stalls_s = 3}}) {
    Trial trial;
    std::atomic<int> count = 0;
    const HttpServer server([&](const Asked&) {
      Reply reply = count++ == 2 ? trouble : Reply{};
      reply.body = trial.bytes;
      return reply;
    });
    EXPECT_EQ(trial.outcome(server), "") << trouble.status;
  }
}

TEST(Download, GivesUpAfterSomeTriesThatBringNothingAndSaysWhy) {
  for (const auto& [reply, text] :
       std::vector<std::pair<Reply, std::string>>{{{.status = 503}, "trouble of its own (503)"},
                                                  {{.status = 429}, "asks to come later (429)"},
                                                  {{.stalls_s = 5}, "falls silent"},
                                                  {{.drops_after = 0}, "breaks off"}}) {
    Trial trial;
    trial.options.manners.tries = 2;
    trial.options.connections = 1;
    const HttpServer server([&, answer = reply](const Asked&) {
      Reply whole = answer;
      whole.body = answer.stalls_s > 0 ? "" : trial.bytes;
      whole.waits_s = answer.stalls_s;
      return whole;
    });
    EXPECT_NE(trial.outcome(server).find(text), std::string::npos) << text;
  }
}

TEST(Download, ARefusalNamesCauseAndCure) {
  for (const auto& [status, text] :
       std::vector<std::pair<int, std::string>>{{401, "HF_TOKEN"},
                                                {403, "the token may not read it"},
                                                {404, "look at its name and revision"},
                                                {410, "the server answers 410"}}) {
    Trial trial;
    const HttpServer server([&, code = status](const Asked&) { return Reply{.status = code}; });
    EXPECT_NE(trial.outcome(server).find(text), std::string::npos) << status;
    EXPECT_LE(server.asked().size(), 3U) << "what is refused is not asked for again";
  }
  Trial trial;
  const HttpServer gated([](const Asked&) {
    return Reply{.status = 403, .headers = {{"X-Error-Code", "GatedRepo"}}};
  });
  EXPECT_NE(trial.outcome(gated).find("grants access"), std::string::npos);
}

TEST(Download, WrongBytesAreNotKept) {
  Trial trial;
  const std::string others = some_bytes(10'500).replace(5'000, 1, "!");
  const HttpServer server([&](const Asked&) { return Reply{.body = others}; });
  EXPECT_NE(trial.outcome(server).find("has the hash"), std::string::npos);
  EXPECT_TRUE(trial.is_nothing_left());
}

TEST(Download, AFileOfAnotherLengthThanAnnouncedIsNotKept) {
  for (const size_t size : {size_t{9'000}, size_t{12'000}}) {
    Trial trial;
    trial.options.manners.tries = 2;
    const HttpServer server([&](const Asked&) { return Reply{.body = some_bytes(size)}; });
    const std::string text = trial.outcome(server);
    // Of a longer one the first bytes are the announced ones; their hash is right here.
    EXPECT_EQ(text.empty(), size > 10'500) << text;
    if (!text.empty()) {
      EXPECT_NE(text.find("shorter than it was announced (416)"), std::string::npos) << text;
    }
  }
  Trial trial;  // of a server without ranges, which sends more than it may
  const HttpServer server(
      [&](const Asked&) { return Reply{.body = some_bytes(12'000), .honours_range = false}; });
  EXPECT_EQ(trial.outcome(server), "");
}

TEST(Download, AnAnswerThatAnnouncesMoreThanItSendsIsAskedForTheRest) {
  Trial trial;
  trial.options.manners.tries = 3;
  const HttpServer server([&](const Asked& asked) {
    Reply reply{.body = trial.bytes};
    if (asked.header("range").ends_with("-999")) reply.announces = 5'000;
    return reply;
  });
  EXPECT_EQ(trial.outcome(server), "");
}

TEST(Download, GoesOnAfterAKilledProcessWithThePartsThatAreThere) {
  Trial trial;
  {
    FileOps ops(ExitCode::kCheckpoint);
    std::atomic<int> count = 0;
    const HttpServer server([&](const Asked&) {
      return count++ < 4 ? Reply{.body = trial.bytes} : Reply{.status = 404};
    });
    trial.options.connections = 1;
    EXPECT_NE(trial.outcome(server), "");
  }
  const HttpServer server([&](const Asked&) { return Reply{.body = trial.bytes}; });
  // The file is the same wherever it comes from: its hash says so.
  EXPECT_EQ(trial.outcome(server), "");
  EXPECT_EQ(server.sent_bytes(), static_cast<int64_t>(trial.bytes.size()) - 4 * kPart);
}

TEST(Download, PartsOfAnotherFileAreNotGoneOnWith) {
  Trial trial;
  test::write_file(trial.path(), std::string(10'500, 'x'));
  test::write_file(trial.path().string() + ".parts", "10500 1000 another\nxxxxxxxxxxx");
  const HttpServer server([&](const Asked&) { return Reply{.body = trial.bytes}; });
  EXPECT_EQ(trial.outcome(server), "");
}

TEST(Download, TheTokenDoesNotFollowToAnotherServerNorBackFromThere) {
  Trial trial;
  std::string first_url;
  const HttpServer second([&](const Asked& asked) {
    if (asked.path == "/file")
      return Reply{.status = 302, .headers = {{"Location", first_url + "/back"}}};
    return Reply{.status = 404};
  });
  const HttpServer first([&](const Asked& asked) {
    if (asked.path == "/file")
      return Reply{.status = 302, .headers = {{"Location", second.url() + "/file"}}};
    return Reply{.body = trial.bytes};
  });
  first_url = first.url();
  EXPECT_EQ(trial.outcome(first), "");
  for (const Asked& asked : second.asked()) EXPECT_EQ(asked.header("authorization"), "");
  for (const Asked& asked : first.asked())
    EXPECT_EQ(asked.header("authorization"), asked.path == "/file" ? "Bearer secret" : "");
}

TEST(Download, ARedirectToAnUnencryptedServerElsewhereIsNotFollowed) {
  Trial trial;
  const HttpServer server([](const Asked&) {
    return Reply{.status = 302, .headers = {{"Location", "http://203.0.113.7/file"}}};
  });
  const std::string text = trial.outcome(server);
  EXPECT_NE(text.find("is not encrypted"), std::string::npos) << text;
  const HttpServer files([](const Asked&) {
    return Reply{.status = 302, .headers = {{"Location", "file:///etc/passwd"}}};
  });
  EXPECT_NE(trial.outcome(files).find("is no address"), std::string::npos);
}

TEST(Download, RedirectsWithoutEndEnd) {
  Trial trial;
  const HttpServer server([](const Asked&) {
    return Reply{.status = 302, .headers = {{"Location", "/file"}}};
  });
  EXPECT_NE(trial.outcome(server).find("without end"), std::string::npos);
}

TEST(Download, AFullDiskIsTheSystemsReason) {
  class FullOps : public FileOps {
   public:
    FullOps() : FileOps(ExitCode::kCheckpoint) {}
    void write_at(int, size_t offset, std::span<const std::byte>,
                  const std::filesystem::path& path) override {
      if (offset > 2'000) fail("write", path, ENOSPC);
    }
  };
  Trial trial;
  const HttpServer server([&](const Asked&) { return Reply{.body = trial.bytes}; });
  FullOps ops;
  try {
    download(ops, trial.file(server.url()), trial.path(), trial.options);
    FAIL() << "written to a full disk";
  } catch (const UserError& e) {
    EXPECT_NE(std::string(e.what()).find("No space left"), std::string::npos) << e.what();
  }
}

TEST(Http, PlainServersElsewhereAndOtherSchemesAreNotAsked) {
  EXPECT_NO_THROW(check_url("https://example.org/a"));
  EXPECT_NO_THROW(check_url("http://127.0.0.1:80/a"));
  EXPECT_NO_THROW(check_url("http://[::1]:80/a"));
  for (const char* url : {"http://example.org/a", "ftp://example.org", "file:///a", "https://",
                          "a/b", "http://127.0.0.1.example.org/", "https://me:word@example.org/",
                          "https://a b/", "http://localhost@example.org/"})
    EXPECT_THROW(check_url(url), UsageError) << url;
}

TEST(Http, AnOriginIsSchemeHostAndPort) {
  EXPECT_EQ(origin_of("https://Example.org/a/b"), "https://example.org:443");
  EXPECT_EQ(origin_of("https://example.org:8443"), "https://example.org:8443");
  EXPECT_EQ(origin_of("http://[::1]:80/x"), "http://[::1]:80");
  EXPECT_NE(origin_of("https://example.org@evil.org/"), origin_of("https://example.org/"));
}

}  // namespace
}  // namespace vit22b
