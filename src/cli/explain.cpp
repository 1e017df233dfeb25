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
#include "eval/finite.h"
#include "explain/pca.h"
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
  fs::path file(const std::string& name) const { return folder_ / name; }
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

/// How much each head looks at each patch, [B, H, N]: the MAP head's query, or in a block (the last
/// where no query pools and none is asked for) the class token, else the mean over all tokens.
at::Tensor looked_at(const ExplainFlags& flags, const LoadedModel& model,
                     const at::Tensor& images_BCHW) {
  const ViTConfig& config = model.info.config;
  if (flags.block < 0 && config.pool.global_pool == "map")
    return model.predictor->pool_attention(images_BCHW).cpu();
  const int64_t block = flags.block < 0 ? config.depth - 1 : flags.block;
  const at::Tensor weights_BHTT = model.predictor->attention(images_BCHW, block).cpu();
  const at::Tensor by_BHT =
      config.tokens.class_token ? weights_BHTT.select(2, 0) : weights_BHTT.mean(/*dim=*/2);
  return by_BHT.slice(2, config.num_prefix_tokens());
}

/// The image, the mean of the heads over it, and each head.
at::Tensor attention_picture(const at::Tensor& image_CHW, const at::Tensor& head_maps) {
  std::vector<at::Tensor> pictures = {image_picture(image_CHW),
                                      attention_overlay(image_CHW, head_maps.mean(0))};
  for (const at::Tensor& map : head_maps.unbind(0))
    pictures.push_back(attention_overlay(image_CHW, map));
  return side_by_side(pictures);
}

/// Says what is drawn where a user has not chosen it.
void say_which_block(const ExplainFlags& flags, const ViTConfig& config) {
  if (flags.block >= 0 || config.pool.global_pool == "map") return;
  log_info(concat("the model pools by '", config.pool.global_pool, "': attention of ",
                  config.tokens.class_token ? "the class token" : "all tokens",
                  " in the last block, ", config.depth - 1, "; --block chooses another"));
}

void draw_attention(const ExplainFlags& flags, const LoadedModel& model, const DataSource& source,
                    Pictures& pictures) {
  const ViTConfig& config = model.info.config;
  say_which_block(flags, config);
  for_each_batch(flags, source, Transforms(model.info.pp_eval), [&](const Batch& batch) {
    const at::Tensor maps_BHN = looked_at(flags, model, batch.images_BCHW());
    check_finite(maps_BHN, "attention", batch.ids);
    for (int64_t i = 0; i < maps_BHN.size(0); ++i) {
      const at::Tensor head_maps =
          maps_BHN[i].reshape({-1, batch.images_BCHW().size(2) / config.patch_size,
                               batch.images_BCHW().size(3) / config.patch_size});
      pictures.add(batch.ids[static_cast<size_t>(i)], head_maps,
                   attention_picture(batch.images_BCHW()[i], head_maps));
    }
  });
}

// Two passes over the images where the basis is to be fitted to them, so that none is held.
void draw_pca(const ExplainFlags& flags, const LoadedModel& model, const DataSource& source,
              Pictures& pictures) {
  const Transforms transforms(model.info.pp_eval);
  const int64_t first = model.info.config.num_prefix_tokens();
  const auto patches = [&](const Batch& batch) {
    const at::Tensor tokens_BTD = model.predictor->features(batch.images_BCHW(), {}).tokens_BTD;
    check_finite(tokens_BTD, "tokens", batch.ids);
    return tokens_BTD.slice(1, first).to(at::kCPU, at::kFloat);
  };
  PcaBasis basis;
  if (flags.basis.empty()) {
    PcaFit fit;
    for_each_batch(flags, source, transforms,
                   [&](const Batch& batch) { fit.add(patches(batch).flatten(0, 1)); });
    basis = fit.basis();
  } else {
    basis = load_basis(flags.basis, model.info.config.embed_dim);
  }
  struct Projected {
    std::string id;
    int64_t height, width;  ///< of the image
    at::Tensor patches_N3;
  };
  std::vector<Projected> all;
  for_each_batch(flags, source, transforms, [&](const Batch& batch) {
    const std::vector<at::Tensor> own = patches(batch).unbind(0);
    for (size_t i = 0; i < own.size(); ++i)
      all.push_back({batch.ids[i], batch.images_BCHW().size(2), batch.images_BCHW().size(3),
                     project(basis, own[i])});
  });
  if (flags.basis.empty()) {
    std::vector<at::Tensor> projected;
    projected.reserve(all.size());
    for (const Projected& image : all) projected.push_back(image.patches_N3);
    set_range(basis, at::cat(projected));
    if (!flags.common.out.empty())
      save_basis(pictures.ops(), pictures.file("basis.safetensors"), basis);
  }
  const int64_t patch = model.info.config.patch_size;
  for (const auto& [id, height, width, patches_N3] : all) {
    const at::Tensor map = colours(basis, patches_N3).view({height / patch, width / patch, 3});
    pictures.add(id, patches_N3.view(map.sizes()), patch_picture(map, height, width));
  }
}

void run_explain(const ExplainFlags& flags) {
  const Device device = begin_command(flags.common);
  if (flags.method == "pca" && flags.block >= 0)
    throw UsageError("--block goes with --method attention; PCA is of the tokens after the norm");
  if (flags.method != "pca" && !flags.basis.empty())
    throw UsageError("--basis goes with --method pca");
  resolve_checkpoint(flags.checkpoint.path);
  const auto source = open_image_files(flags.images.images, flags.images.list);
  const LoadedModel model =
      open_checkpoint(flags.checkpoint, {device, flags.common.precision, flags.common.engine});
  Pictures pictures(flags);
  flags.method == "pca" ? draw_pca(flags, model, *source, pictures)
                        : draw_attention(flags, model, *source, pictures);
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
  command
      ->add_option("--method", flags->method,
                   "attention: the image, the mean over heads, each head; pca: the patches' first "
                   "three principal components over all images as red, green and blue")
      ->capture_default_str()
      ->check(CLI::IsMember({"attention", "pca"}));
  command
      ->add_option("--block", flags->block,
                   "attention of this block, of the class token or the mean over all tokens; by "
                   "default the MAP head's query, and the last block where the model has none")
      ->check(CLI::Range(0, 100'000));
  command->add_option("--basis", flags->basis,
                      "a basis.safetensors of earlier pictures, for the same colours");
  command->add_flag("--show", flags->is_shown, "draw in the terminal (letters with NO_COLOR)");
  add_common_flags(*command, flags->common, kDevice | kPrecision | kOut,
                   "folder for NUMBER-NAME.METHOD.png and the .npy that it was drawn from");
  command->callback([flags] { run_explain(*flags); });
}

}  // namespace vit22b
