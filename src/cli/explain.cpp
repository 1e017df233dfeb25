#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>

#include "cli/checkpoint_flags.h"
#include "cli/command.h"
#include "cli/image_input.h"
#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "core/progress.h"
#include "core/signals.h"
#include "data/encode.h"
#include "explain/method.h"
#include "explain/pictures.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kTerminalColumns = 64;

struct ExplainFlags {
  CommonFlags common;
  CheckpointFlags checkpoint;
  ImageFlags images;
  std::string method = "attention", basis;
  int64_t block = -1;
  std::vector<double> at;
  bool is_shown = false;
};

/// Where pictures go: files named after their images, and the terminal.
class Pictures {
 public:
  Pictures(const ExplainFlags& flags) : flags_(flags), folder_(flags.common.out) {
    if (folder_.empty() && !flags.is_shown) throw UsageError("give --out DIR, or --show");
    if (!folder_.empty()) ops_.make_folder(folder_);
  }

  /// raw  what the picture is drawn from
  void add(const std::string& path, const at::Tensor& raw, const at::Tensor& picture_HWC) {
    if (!folder_.empty()) {
      char number[32];
      std::snprintf(number, sizeof number, "%05lld-", static_cast<long long>(count_));
      const std::string stem = number + fs::path(path).stem().string() + "." + flags_.method;
      write_text(ops_, folder_ / (stem + ".npy"), npy_bytes(raw));
      write_text(ops_, folder_ / (stem + ".png"), encode_png(picture_HWC));
    }
    if (flags_.is_shown)
      print_out(shown_name(path) + "\n" +
                terminal_text(picture_HWC, kTerminalColumns, std::getenv("NO_COLOR") == nullptr));
    ++count_;
  }
  int64_t count() const { return count_; }
  FileOps& ops() { return ops_; }

 private:
  const ExplainFlags& flags_;
  fs::path folder_;
  FileOps ops_;
  int64_t count_ = 0;
};

/// Every batch of the images that can be read, in order; says which cannot.
void for_each_batch(const ExplainFlags& flags, const DataSource& source,
                    const Transforms& transforms, const std::function<void(const Batch&)>& use) {
  BatchLoader loader(source, transforms, one_pass(flags.images.loader, source));
  Progress progress("explain", source.size(), flags.common.is_quiet);
  int64_t done = 0;
  for (Batch batch; loader.next(batch);) {
    if (stop_signal() != 0) throw Stopped("stopped after ", done, " images");
    if (!batch.images_BCHW().defined()) continue;
    use(batch);
    done += batch.images_BCHW().size(0);
    progress.update(done);
  }
  for (const BadSample& bad : loader.bad_samples()) log_warn(left_out_text(bad));
  if (done == 0) throw DataError("none of ", source.size(), " images could be read");
}

void run_explain(const ExplainFlags& flags) {
  const Device device = begin_command(flags.common);
  if (flags.method != "attention" && flags.block >= 0)
    throw UsageError("--block goes with --method attention; ", flags.method,
                     " is of the tokens after the norm");
  if (flags.method != "similarity" && !flags.at.empty())
    throw UsageError("--at goes with --method similarity");
  if (flags.method != "pca" && !flags.basis.empty())
    throw UsageError("--basis goes with --method pca");
  resolve_checkpoint(flags.checkpoint.path);
  const auto source = open_image_files(flags.images.images, flags.images.list);
  const LoadedModel model =
      open_checkpoint(flags.checkpoint, predictor_options(flags.common, device));
  Pictures pictures(flags);
  const Transforms transforms(model.info.pp_eval);
  const ImageBatches batches = [&](const std::function<void(const Batch&)>& use) {
    for_each_batch(flags, *source, transforms, use);
  };
  ExplainSink sink{[&](const Explanation& e) { pictures.add(e.id, e.raw, e.picture_HWC); }};
  if (!flags.common.out.empty()) {
    sink.ops = &pictures.ops();
    sink.folder = flags.common.out;
  }
  ExplainRequest request{flags.block, flags.basis};
  if (!flags.at.empty()) {
    request.at_x = flags.at[0];
    request.at_y = flags.at[1];
  }
  explain_method(flags.method)
      .explain({*model.predictor, model.info.config}, request, batches, sink);
  if (!flags.common.out.empty())
    log_info(concat("wrote ", pictures.count(), " pictures to ", flags.common.out));
}

}  // namespace

void add_explain(CLI::App& app) {
  auto flags = std::make_shared<ExplainFlags>();
  CLI::App* command =
      app.add_subcommand("explain", "pictures of what a model looks at, or sees as alike");
  add_checkpoint_flags(*command, flags->checkpoint);
  add_image_flags(*command, flags->images);
  command->add_option("--method", flags->method, explain_method_help())
      ->capture_default_str()
      ->check(CLI::IsMember(explain_method_names()));
  command
      ->add_option("--block", flags->block,
                   "attention of this block, of the class token or the mean over all tokens; by "
                   "default the MAP head's query, and the last block where the model has none")
      ->check(CLI::Range(0, 100'000));
  command->add_option("--basis", flags->basis,
                      "a basis.safetensors of earlier pictures, for the same colours");
  command
      ->add_option("--at", flags->at,
                   "X,Y: where in each picture the patch is that the others are compared with, as "
                   "shares of its width and height; the middle by default")
      ->delimiter(',')
      ->expected(2)
      ->check(CLI::Range(0.0, 1.0));
  command->add_flag("--show", flags->is_shown, "draw in the terminal (letters with NO_COLOR)");
  add_common_flags(*command, flags->common, kDevice | kPrecision | kStore | kOut,
                   "folder for NUMBER-NAME.METHOD.png and the .npy that it was drawn from");
  command->callback([flags] { run_explain(*flags); });
}

}  // namespace vit22b
