#include <CLI/CLI.hpp>

#include "cli/probe_methods.h"
#include "core/error.h"

namespace vit22b {
namespace {

/// Refuses the options of the other methods.
void check_options_of_methods(const CLI::App& command, const std::string& method) {
  const std::pair<const char*, std::vector<std::string>> own[] = {
      {"lbfgs", {"--c", "--path", "--tolerance", "--max-iterations"}},
      {"grid", {"--rates", "--head-batch"}},
      {"sgd", {"--rate"}}};
  for (const auto& [name, options] : own)
    if (name != method) refuse_options(command, options, concat("goes with --method ", name));
  if (method == "lbfgs") refuse_options(command, {"--epochs"}, "goes with --method grid or sgd");
  if (method == "sgd") refuse_options(command, {"--hold-out"}, "goes with --method lbfgs or grid");
}

void run_probe(const ProbeFlags& flags) {
  const Device device = begin_command(flags.head.common);
  check_options_of_methods(*flags.head.command, flags.method);
  if (flags.method == "sgd") {
    if (is_from_files(flags.head) || flags.head.checkpoint == "pixels")
      throw UsageError("--method sgd augments images: give a checkpoint and a data source");
    SgdProbe sgd = flags.sgd;
    sgd.epochs = flags.epochs;
    return run_sgd_probe(flags.head, sgd, device);
  }
  flags.method == "grid" ? run_grid_probe(flags, device) : run_lbfgs_probe(flags, device);
}

}  // namespace

void add_probe(CLI::App& app) {
  auto flags = std::make_shared<ProbeFlags>();
  CLI::App* command =
      app.add_subcommand("probe", "accuracy of a linear classifier on frozen features");
  add_head_flags(*command, flags->head);
  command
      ->add_option(
          "--method", flags->method,
          "lbfgs: logistic regression; grid: DINOv2's grid of heads by SGD; sgd: one head on "
          "augmented images")
      ->capture_default_str()
      ->check(CLI::IsMember({"lbfgs", "grid", "sgd"}));
  command->add_option("--c", flags->c, "lbfgs: scikit-learn's C; the best of a path where absent")
      ->check(above_zero);
  command->add_option("--path", flags->path, "lbfgs: values of C from 1e-6 to 1e5 (DINOv2: 45)")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command->add_option("--tolerance", flags->tolerance, "lbfgs: of the gradient's largest component")
      ->capture_default_str()
      ->check(above_zero);
  command->add_option("--max-iterations", flags->max_iterations, "lbfgs: at most so many")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000));
  command
      ->add_option("--hold-out", flags->hold_out,
                   "part of the training samples that chooses C, or the head")
      ->capture_default_str()
      ->check(CLI::Range(0.001, 0.9));
  command->add_option("--rates", flags->rates, "grid: base learning rates, for a batch of 256")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(above_zero);
  command->add_option("--epochs", flags->epochs, "grid, sgd: passes over the training samples")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000));
  command->add_option("--head-batch", flags->head_batch, "grid: samples a step")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000'000));
  command->add_option("--rate", flags->sgd.rate, "sgd: learning rate, for a batch of 256")
      ->capture_default_str()
      ->check(above_zero);
  command->callback([flags] { run_probe(*flags); });
}

}  // namespace vit22b
