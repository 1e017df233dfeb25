#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "core/config.h"
#include "core/device.h"
#include "core/printable.h"
#include "data/sample.h"
#include "model/config.h"

namespace CLI {  // NOLINT(readability-identifier-naming): the library names itself so
class App;
}

namespace vit22b {

/// The flags that every command takes where they mean something.
struct CommonFlags {
  std::string device = "cpu";
  std::string precision = "fp32";
  std::string engine = "fused";
  std::string store = "resident";
  std::string out;
  int64_t threads = 0;
  int64_t seed = 0;
  bool is_json = false;
  bool is_quiet = false;
};

/// Which common flags a command takes, as a sum of these.
enum CommonFlag : unsigned {
  kDevice = 1,
  kPrecision = 2,
  kSeed = 4,
  kOut = 8,
  kJson = 16,
  kStore = 32
};

/// Adds the chosen flags, and --threads and --quiet.
void add_common_flags(CLI::App& command, CommonFlags& flags, unsigned chosen,
                      const char* out_help = "output path");

/// Resolves the device before any other ATen call, checks libtorch, sets threads and quiet.
Device begin_command(const CommonFlags& flags);

/// How a command reads its samples.
struct LoaderFlags {
  int64_t batch = 32, workers = 0;
  double max_bad_fraction = 0.001;
  int64_t max_pixels = kMaxPixels;
};

/// Adds --batch (at most `largest_batch`), --workers, --max-bad-fraction.
void add_loader_flags(CLI::App& command, LoaderFlags& flags, int64_t largest_batch = 100'000);

/// What is wrong with a word that is to be a number above 0; "" for nothing.
std::string above_zero(const std::string& text);

/// Adds positional `a.b=c` overrides and `--set a.b=c`.
void add_overrides(CLI::App& command, std::vector<std::string>& overrides);

/// Applies overrides to a tree in order.
void apply_overrides(ConfigTree& tree, const std::vector<std::string>& overrides);

/// A preset with a model's keys overridden.
ViTConfig preset_config(const std::string& name, const std::vector<std::string>& overrides);

/// A table of all options.
std::string option_table(const Fields& fields);
/// The options that a first try changes, for a command's help, and where all of them are told.
std::string often_changed_text(const Fields& fields, std::span<const char* const> keys,
                               const std::string& what, const std::string& all);

/// Refuses options that a command was given and that mean nothing as it is called.
///
/// throws  UsageError "--split: REASON"
void refuse_options(const CLI::App& command, const std::vector<std::string>& names,
                    const std::string& reason);

/// Data for stdout; an error when it cannot be written.
void print_out(const std::string& text);
/// A result for stdout, and then what stores it: so that neither a place that cannot be written nor
/// a reader that has left loses the other.
void print_and_store(const std::string& text, const std::function<void()>& store);

// One function a subcommand, each in the file of its name.
void add_train(CLI::App& app);
void add_eval(CLI::App& app);
void add_predict(CLI::App& app);
void add_features(CLI::App& app);
void add_probe(CLI::App& app);
void add_fewshot(CLI::App& app);
void add_knn(CLI::App& app);
void add_zeroshot(CLI::App& app);
void add_retrieve(CLI::App& app);
void add_compare(CLI::App& app);
void add_convert(CLI::App& app);
void add_model(CLI::App& app);
void add_explain(CLI::App& app);
void add_plan(CLI::App& app);
void add_report(CLI::App& app);
void add_bench(CLI::App& app);
void add_config(CLI::App& app);
void add_env(CLI::App& app);
void add_completion(CLI::App& app);

/// The words that this process was started with, without the program's name.
std::vector<std::string> command_words();
/// Without an option and its value ("--procs 4", "--procs=4").
std::vector<std::string> words_without(const std::string& option, std::vector<std::string> words);

/// Parses the command line, runs the command, and turns every failure into its exit code and a last
/// line on stderr.
int run_command_line(int argc, char** argv);

}  // namespace vit22b
