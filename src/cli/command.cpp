#include "cli/command.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <new>

#include "cli/checked_words.h"
#include "cli/given_words.h"
#include "cli/help.h"
#include "core/core_sharing.h"
#include "core/error.h"
#include "core/heap.h"
#include "core/instructions.h"
#include "core/log.h"
#include "core/signals.h"
#include "core/text.h"
#include "core/text_table.h"
#include "dist/launch.h"
#include "kernels/cpu/tile.h"

namespace vit22b {
namespace {

constexpr const char* kMemoryHint =
    "; use a smaller batch, activation=recompute, accumulate=N, precision=bf16 or a smaller model";

int say(ExitCode code, const std::string& text) {
  if (code == ExitCode::kStopped)
    log_warn(text);
  else
    log_error(text);
  return static_cast<int>(code);
}

int run_guarded(CLI::App& app, int argc, char** argv) {
  try {
    std::vector<std::string> words = with_given_keys({argv + 1, argv + argc});
    std::reverse(words.begin(), words.end());  // as CLI11 wants them
    app.parse(std::move(words));
    return 0;
  } catch (const CLI::Success& e) {  // --help and --version
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    return say(ExitCode::kUsage, concat(e.what(), "; ", usage_hint(app)));
  } catch (const UserError& e) {
    return say(e.code(), e.what());
  } catch (const c10::OutOfMemoryError& e) {
    return say(ExitCode::kUsage,
               concat("out of GPU memory: ", split(e.what_without_backtrace(), '\n').front(),
                      kMemoryHint));
  } catch (const c10::Error& e) {
    const std::string text = e.what_without_backtrace();
    const bool is_memory = text.find("not enough memory") != std::string::npos;
    return is_memory
               ? say(ExitCode::kUsage, "out of memory: " + split(text, '\n').front() + kMemoryHint)
               : say(ExitCode::kBug, "internal error in libtorch: " + text);
  } catch (const std::bad_alloc&) {
    return say(ExitCode::kUsage, concat("out of memory", kMemoryHint));
  } catch (const std::exception& e) {
    return say(ExitCode::kBug, concat("internal error: ", e.what()));
  }
}

}  // namespace

void add_common_flags(CLI::App& command, CommonFlags& flags, unsigned chosen,
                      const char* out_help) {
  if ((chosen & kDevice) != 0)
    command.add_option("--device", flags.device, "cpu, cuda or cuda:N")->capture_default_str();
  if ((chosen & kPrecision) != 0) {
    command
        .add_option("--precision", flags.precision,
                    "fp32, bf16, or bf16_fp32: bf16 with the residual stream in fp32")
        ->capture_default_str();
    command.add_option("--engine", flags.engine, "how blocks are computed: fused or reference")
        ->capture_default_str();
  }
  if ((chosen & kStore) != 0)
    command
        .add_option("--store", flags.store,
                    "resident, or streamed: weights are read in every pass and not kept")
        ->capture_default_str()
        ->check(CLI::IsMember({"resident", "streamed"}));
  if ((chosen & kSeed) != 0)
    command.add_option("--seed", flags.seed, "seed of random numbers")->capture_default_str();
  if ((chosen & kOut) != 0) command.add_option("--out,-o", flags.out, out_help);
  if ((chosen & kJson) != 0) command.add_flag("--json", flags.is_json, "print the result as JSON");
  command.add_option("--threads", flags.threads, "CPU threads; 0 for libtorch's choice")
      ->capture_default_str();
  command.add_flag("--quiet,-q", flags.is_quiet, "warnings and errors only");
}

Device begin_command(const CommonFlags& flags) {
  const Device device = resolve_device(flags.device);  // before any other ATen call
  log_set_quiet(flags.is_quiet);
  check_libtorch_version();
  static const CoreSharing kSharing(set_threads(flags.threads));
  install_stop_signals();
  if (!device.is_cuda() && std::string_view(cpu::instruction_set()) == "SCALAR")
    log_warn("this CPU has no AVX2: the fused engine runs as plain code; try --engine reference");
  prepare_heap();
  return device;
}

void add_loader_flags(CLI::App& command, LoaderFlags& flags, int64_t largest_batch) {
  command.add_option("--batch", flags.batch, "images a batch")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{1}, largest_batch));
  command.add_option("--workers", flags.workers, "loader threads; 0 for half the cores, at most 8")
      ->capture_default_str()
      ->check(CLI::Range(0, 256));
  command
      .add_option("--max-bad-fraction", flags.max_bad_fraction,
                  "share of samples that may be unusable")
      ->capture_default_str()
      ->check([](const std::string& text) {
        const auto number = leading_number(text);
        const bool is_share = number && number->second.empty() && number->first >= 0 &&
                              number->first <= 1;  // and so no NaN
        return is_share ? "" : "want a share from 0 to 1, not " + text;
      });
  command.add_option("--max-pixels", flags.max_pixels, "of a picture; larger ones are unusable")
      ->capture_default_str()
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 32));
}

std::string above_zero(const std::string& text) {
  const auto number = leading_number(text);
  const bool is_above = number && number->second.empty() && number->first > 0 &&
                        number->first < std::numeric_limits<double>::infinity();
  return is_above ? "" : "want a number above 0, not " + text;
}

void add_overrides(CLI::App& command, std::vector<std::string>& overrides) {
  command.add_option("overrides", overrides, "config overrides a.b=c");
  command.add_option("--set", overrides, "the same, for values that look like flags");
}

void apply_overrides(ConfigTree& tree, const std::vector<std::string>& overrides) {
  for (const std::string& assignment : overrides) set_override(tree, assignment);
}

ViTConfig preset_config(const std::string& name, const std::vector<std::string>& overrides) {
  ConfigTree tree;
  set_override(tree, "name=" + name);
  apply_overrides(tree, overrides);
  return model_from_tree(tree);
}

std::string option_table(const Fields& fields) {
  constexpr auto kLeft = TextTable::Align::kLeft;
  TextTable rows({kLeft, kLeft, kLeft}, "  ");
  std::string section;
  for (const FieldText& field : list_fields(fields)) {
    // The keys of a section stand together.
    const size_t dot = field.key.find('.');
    const std::string own = dot == std::string::npos ? "" : field.key.substr(0, dot);
    if (own != section) rows.add({});
    section = own;
    rows.add({field.key, field.value.empty() ? "(unset)" : field.value,
              concat(field.help, " [", field.type, "]")});
  }
  return rows.text();
}

std::string often_changed_text(const Fields& fields, std::span<const char* const> keys,
                               const std::string& what, const std::string& all) {
  const std::vector<FieldText> known = list_fields(fields);
  constexpr auto kLeft = TextTable::Align::kLeft;
  TextTable rows({kLeft, kLeft}, "  ");
  for (const char* key : keys)
    for (const FieldText& field : known)
      if (field.key == key) rows.add({key, field.help});
  return concat(what, ", ", known.size(), " in all: ", all, ". Often changed:\n", rows.text());
}

void refuse_options(const CLI::App& command, const std::vector<std::string>& names,
                    const std::string& reason) {
  for (const std::string& name : names)
    if (command.get_option_no_throw(name) != nullptr && command.count(name) > 0)
      throw UsageError(name, ": ", reason);
}

namespace {

bool print(const std::string& text) {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() &&
         std::fflush(stdout) == 0;
}

[[noreturn]] void end_unprinted(int error) {
  if (error == EPIPE) {
    // The reader, such as `head`, has seen enough: end without a word, as other tools do.
    std::signal(SIGPIPE, SIG_DFL);
    std::raise(SIGPIPE);
  }
  throw UsageError("cannot write to standard output (is the disk full?)");
}

}  // namespace

void print_out(const std::string& text) {
  if (!print(text)) end_unprinted(errno);
}

void print_and_store(const std::string& text, const std::function<void()>& store) {
  const bool is_printed = print(text);
  const int error = errno;
  store();
  if (!is_printed) end_unprinted(error);
}

std::vector<std::string> command_words() {
  std::ifstream line("/proc/self/cmdline");
  std::vector<std::string> words;
  for (std::string word; std::getline(line, word, '\0');) words.push_back(word);
  words.erase(words.begin());
  return words;
}

std::vector<std::string> words_without(const std::string& option, std::vector<std::string> words) {
  std::erase_if(words, [&](const std::string& word) { return word.starts_with(option + "="); });
  if (const auto it = std::find(words.begin(), words.end(), option); it != words.end())
    words.erase(it, std::min(it + 2, words.end()));
  return words;
}

namespace {

/// The commands in the order and under the headings of the help.
void add_commands(CLI::App& app) {
  using Add = void (*)(CLI::App&);
  const std::pair<const char*, std::vector<Add>> groups[] = {
      {"Use", {add_predict, add_features, add_explain, add_retrieve, add_zeroshot}},
      {"Measure", {add_eval, add_probe, add_fewshot, add_knn, add_compare}},
      {"Train", {add_train}},
      {"Look",
       {add_model, add_convert, add_plan, add_report, add_bench, add_env, add_config,
        add_completion}}};
  const auto all = [](const CLI::App*) { return true; };
  size_t num_grouped = 0;
  for (const auto& [heading, adds] : groups) {
    for (const Add add : adds) add(app);
    const std::vector<CLI::App*> commands = app.get_subcommands(all);
    for (; num_grouped < commands.size(); ++num_grouped) commands[num_grouped]->group(heading);
  }
}

/// Nothing, as of a shell's variable that is not set, is not what an option's absence means; and
/// what check_words refuses.
void refuse_wrong_values(CLI::App* command) {
  command->parse_complete_callback([command] {
    for (const CLI::Option* option : command->get_options())
      for (const std::string& value : option->count() > 0 ? option->results() : CLI::results_t{})
        if (value.empty())
          throw UsageError(option->get_positional() ? "an argument" : option->get_name(),
                           " is empty; give ", option->get_positional() ? "it" : "a value",
                           " or leave it away");
    check_words(*command);
  });
  for (CLI::App* below : command->get_subcommands([](CLI::App*) { return true; }))
    refuse_wrong_values(below);
}

}  // namespace

int run_command_line(int argc, char** argv) {
  CLI::App app{"vit22b: trains, scales and studies vision transformers of the ViT-22B family",
               "vit22b"};
  app.set_version_flag("--version", std::string("vit22b ") + program_version());
  app.require_subcommand(1);
  app.formatter(make_help_formatter());
  app.footer(
      "First steps: vit22b train configs/train/fashion_mnist.toml --out runs/fashion; vit22b eval "
      "runs/fashion");
  std::string ends;
  app.add_option("--ends", ends, "folder for this rank's exit code")->group("");  // of --procs
  app.add_option("--instructions",
                 "do with the CPU's instructions of avx2, avx512, avx512_bf16 or amx")
      ->each([](const std::string& text) { limit_instructions(parse_instructions(text)); })
      ->group("");  // to see here what another CPU gives
  add_commands(app);
  refuse_wrong_values(&app);
  const int code = run_guarded(app, argc, argv);
  if (!ends.empty()) report_end(ends, code);
  return code;
}

}  // namespace vit22b
