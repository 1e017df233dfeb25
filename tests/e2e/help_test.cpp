#include <gtest/gtest.h>

#include "support/files.h"
#include "support/program.h"

namespace vit22b {
namespace {

using test::Ended;
using test::TempFolder;
using test::vit;

/// What bash would offer after these words, a line each.
std::string offered(const std::string& words) {
  const TempFolder folder;
  const std::string script = (folder / "c").string();
  EXPECT_EQ(test::shell(test::program() + " completion bash >" + script + " && :").code, 0);
  test::write_file(folder / "try",
                   "source \"$1\"; shift; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); "
                   "_vit22b; printf '%s\\n' \"${COMPREPLY[@]}\"");
  return test::shell("bash " + (folder / "try").string() + " " + script + " " + words).out;
}

TEST(Completion, BashOffersCommandsOptionsKeysAndPresets) {
  EXPECT_EQ(offered("vit22b feat"), "features\n");
  EXPECT_EQ(offered("vit22b bench ri"), "ring\n");
  EXPECT_EQ(offered("vit22b train c.toml optim.l"), "optim.lr=\noptim.layer_decay=\n");
  EXPECT_EQ(offered("vit22b knn --devi"), "--device\n");
  EXPECT_EQ(offered("vit22b model show 22"), "22b14\n");
  EXPECT_EQ(offered("vit22b report photos"), "\n");
}

// Where the shells are, they read their scripts.
TEST(Completion, ShellsParseTheirScripts) {
  for (const auto& [shell, check] : {std::pair<std::string, std::string>{"bash", "bash -n"},
                                     {"zsh", "zsh -n"},
                                     {"fish", "fish -n"}}) {
    const TempFolder folder;
    const std::string script = (folder / "c").string();
    ASSERT_EQ(test::shell(test::program() + " completion " + shell + " >" + script + " && :").code,
              0);
    EXPECT_NE(test::read_file(script).find("optim.layer_decay="), std::string::npos) << shell;
    if (test::shell("command -v " + shell).code == 0) {
      const Ended parsed = test::shell(check + " " + script);
      EXPECT_EQ(parsed.code, 0) << parsed.err;
    }
  }
}

TEST(Help, EachCommandHasExamplesInItsHelpAndInTheManual) {
  const std::string manual = vit("completion man").out;
  for (const char* command :
       {"train",        "finetune",      "lit",        "distill",    "eval",        "predict",
        "features",     "probe",         "fewshot",    "knn",        "zeroshot",    "retrieve",
        "compare",      "explain",       "model list", "model show", "model init",  "model diff",
        "model stats",  "model inspect", "plan",       "report",     "bench model", "config show",
        "config check", "completion",    "env"}) {
    const std::string help = vit(std::string(command) + " --help").out;
    const size_t examples = help.find("Examples:\n  "), usage = help.find("Usage:");
    EXPECT_LT(examples, usage) << command;
    EXPECT_LE(std::count(help.begin(), help.end(), '\n'), 60) << command;  // a screen
    EXPECT_NE(help.find(std::string("vit22b ") + command, examples), std::string::npos) << command;
    EXPECT_NE(manual.find(std::string(".SS vit22b ") + command + "\n"), std::string::npos)
        << command;
  }
  EXPECT_NE(manual.find("\\-\\-device"), std::string::npos);
}

TEST(Help, CommandsStandUnderWhatTheyAreFor) {
  const std::string help = vit("--help").out;
  size_t last = 0;
  for (const char* part : {"Usage: vit22b ", "\nUse:\n", "  predict", "\nMeasure:\n", "  eval",
                           "\nTrain:\n", "  train", "\nLook:\n", "  model"}) {
    const size_t at = help.find(part, last);
    ASSERT_NE(at, std::string::npos) << part;
    last = at;
  }
}

TEST(Help, WhatIsMissingIsSaidWithTheUsage) {
  EXPECT_EQ(
      vit("predict").last_line(),
      "error: checkpoint is required; usage: vit22b predict [OPTIONS] checkpoint [images...]; "
      "see vit22b predict --help");
  EXPECT_EQ(vit("model show").last_line(),
            "error: name is required; usage: vit22b model show [OPTIONS] name [overrides...]; see "
            "vit22b model show --help");
}

TEST(Output, AClosedPipeEndsTheCommandWithoutNoise) {
  const Ended ended = test::shell("bash -c '" + test::program() +
                                  " model show 22b14 --json | head -c 10; exit ${PIPESTATUS[0]}'");
  EXPECT_EQ(ended.out, "{\n \"block_");
  EXPECT_EQ(ended.err.find("internal error"), std::string::npos) << ended.err;
}

}  // namespace
}  // namespace vit22b
