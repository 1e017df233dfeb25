#include "plan/plan.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "core/error.h"
#include "core/text.h"
#include "core/text_table.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;

struct PlanFlags {
  CommonFlags common;
  std::string name;
  std::vector<std::string> words;
  int64_t search = 0;
  bool is_reckoned = false;
};

constexpr size_t kListed = 10;

const char* place_name(Place place) {
  switch (place) {
    case Place::kDevice:
      return "device";
    case Place::kHost:
      return "host";
    case Place::kDisk:
      break;
  }
  return "disk";
}

Json json_of(const Plan& plan) {
  Json memory, items = Json::array(), times = Json::object();
  for (const Place place : {Place::kDevice, Place::kHost, Place::kDisk})
    memory[place_name(place)] = plan.bytes(place);
  for (const MemoryItem& item : plan.items)
    items.push_back(
        {{"place", place_name(item.place)}, {"what", item.what}, {"bytes", item.bytes}});
  for (const TimePart& part : plan.time.parts) times[part.what] = part.seconds;
  return {{"model", plan.request.config.model.name},
          {"device", plan.device.name},
          {"ranks", plan.request.num_ranks()},
          {"choices", choices_text(plan)},
          {"memory_bytes", memory},
          {"items", items},
          {"step_seconds", plan.time.seconds},
          {"step_seconds_are_measured", plan.is_rehearsed},
          {"seconds", times},
          {"images_per_second", plan.images_per_second()},
          {"tokens_per_second", plan.tokens_per_second()},
          {"tokens_per_second_per_device",
           plan.tokens_per_second() / static_cast<double>(plan.request.num_ranks())},
          {"flops", plan.flops},
          {"communication_bytes", plan.sent_bytes},
          {"mfu", plan.mfu},
          {"limit", plan.time.limit},
          {"fits", plan.fits},
          {"advice", plan.advice.empty() ? Json() : Json(plan.advice)}};
}

std::string text_of(const Plan& plan) {
  constexpr auto kLeft = TextTable::Align::kLeft;
  std::string text =
      concat(plan.request.config.model.name, ", ",
             plan.request.is_training ? "training" : "a forward pass", ", batch ",
             plan.request.config.data.batch_size, ", ", plan.request.config.precision, ", on ",
             plan.request.num_ranks(), " x ", plan.device.name, "\n");
  for (const Place place : {Place::kDevice, Place::kHost, Place::kDisk}) {
    if (plan.bytes(place) == 0) continue;
    text += concat(place_name(place), place == Place::kDisk ? "" : ", of a rank", ": ",
                   human_bytes(static_cast<double>(plan.bytes(place))), "\n");
    TextTable items({kLeft, kLeft}, "  ");
    for (const MemoryItem& item : plan.items)
      if (item.place == place) items.add({item.what, human_bytes(static_cast<double>(item.bytes))});
    text += items.text();
  }
  text += formatted("a step: %.4g s", plan.time.seconds) +
          (plan.is_rehearsed ? ", measured on parts of it\n" : "\n");
  TextTable parts({kLeft, kLeft}, "  ");
  for (const TimePart& part : plan.time.parts)
    parts.add({part.what, formatted("%.4g s", part.seconds)});
  text += parts.text() + formatted("%.4g img/s", plan.images_per_second()) +
          formatted(", %.4g tokens/s for each device",
                    plan.tokens_per_second() / static_cast<double>(plan.request.num_ranks())) +
          formatted(", %.4g TFLOP a step", plan.flops / 1e12) +
          formatted(", mfu %.1f %%", 100 * plan.mfu) + ", sent " + human_bytes(plan.sent_bytes) +
          " a rank\n";
  text += "limit: " + plan.time.limit + "\n";
  text += plan.fits ? "it fits\n" : "it does not fit; what makes it fit: " + plan.advice + "\n";
  return text;
}

void run_search(const PlanFlags& flags, const Planner& planner) {
  const std::vector<Plan> plans = planner.search(flags.search, kListed);
  if (plans.empty())
    throw UsageError("nothing fits ", flags.search,
                     " devices; use more of them, or a smaller batch or model");
  Json json = Json::array();
  constexpr auto kRight = TextTable::Align::kRight;
  TextTable rows({kRight, kRight, kRight, TextTable::Align::kLeft});
  for (const Plan& plan : plans) {
    json.push_back(json_of(plan));
    const int64_t bytes = plan.bytes(plan.device.is_cpu ? Place::kHost : Place::kDevice);
    rows.add({formatted("%.4g s", plan.time.seconds), formatted("mfu %.1f %%", 100 * plan.mfu),
              human_bytes(static_cast<double>(bytes)) + " a device", choices_text(plan)});
  }
  print_out(flags.common.is_json ? json.dump(1) + "\n" : rows.text());
}

void run_plan(const PlanFlags& flags) {
  begin_command(flags.common);
  const Planner planner(flags.name, flags.words);
  if (flags.search > 0) return run_search(flags, planner);
  const Plan plan = planner.plan(!flags.is_reckoned);
  print_out(flags.common.is_json ? json_of(plan).dump(1) + "\n" : text_of(plan));
}

}  // namespace

void add_plan(CLI::App& app) {
  auto flags = std::make_shared<PlanFlags>();
  CLI::App* command =
      app.add_subcommand("plan", "what a command takes, before it runs: memory, time, what limits");
  command->add_option("name", flags->name, "preset, checkpoint, or a training config's file")
      ->required();
  command->add_option(
      "words", flags->words,
      concat("mode=infer|train batch=N mfu=SHARE, store=resident|streamed|generated "
             "(infer), any option of train as a.b=c, and device=",
             join(device_names(), "|"), " or a TOML file"));
  command
      ->add_option("--search", flags->search,
                   "list the fastest meshes, stores and policies for N devices")
      ->check(CLI::Range(1, 100'000));
  command->add_flag("--reckon", flags->is_reckoned,
                    "on this machine: by its rates, without running parts of the command");
  add_common_flags(*command, flags->common, kJson);
  command->footer(
      "vit22b plan 22b14 mode=train batch=32 precision=bf16 device=h200\n"
      "vit22b plan CKPT batch=8 precision=bf16 store=streamed\n"
      "vit22b plan configs/train/fashion_mnist.toml\n"
      "vit22b plan 22b14 mode=train batch=4096 precision=bf16 device=h100 --search 64");
  command->callback([flags] { run_plan(*flags); });
}

}  // namespace vit22b
