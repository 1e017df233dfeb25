#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/image_input.h"
#include "core/error.h"
#include "core/log.h"
#include "core/progress.h"
#include "core/signals.h"
#include "eval/load_predictor.h"

namespace vit22b {
namespace {

struct PredictFlags {
  CommonFlags common;
  ImageFlags images;
  std::string checkpoint;
  int64_t top = 5;
  bool is_sigmoid = false;
};

/// One image's best labels.
struct Prediction {
  std::string path;
  at::Tensor probabilities, indices;  ///< [top], the best first
};

std::string label_of(const ModelInfo& info, int64_t index) {
  const bool is_named = static_cast<size_t>(index) < info.label_names.size();
  return is_named ? info.label_names[static_cast<size_t>(index)] : std::to_string(index);
}

std::string as_json(const ModelInfo& info, const Prediction& said) {
  nlohmann::ordered_json predictions = nlohmann::ordered_json::array();
  for (int64_t i = 0; i < said.indices.numel(); ++i) {
    const auto index = said.indices[i].item<int64_t>();
    predictions.push_back({{"label", label_of(info, index)},
                           {"index", index},
                           {"probability", said.probabilities[i].item<double>()}});
  }
  return nlohmann::ordered_json{{"path", said.path}, {"predictions", predictions}}.dump(
      1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::string as_text(const ModelInfo& info, const Prediction& said) {
  std::string text = said.path + "\n";
  for (int64_t i = 0; i < said.indices.numel(); ++i) {
    char percent[32];
    std::snprintf(percent, sizeof percent, "  %6.2f %%  ",
                  100 * said.probabilities[i].item<double>());
    text += percent + label_of(info, said.indices[i].item<int64_t>()) + "\n";
  }
  return text;
}

// Printed batch by batch: a list may be long.
void run_predict(const PredictFlags& flags) {
  const Device device = begin_command(flags.common);
  const auto source = open_image_files(flags.images.images, flags.images.list);
  const LoadedModel model =
      load_predictor(flags.checkpoint, {device, flags.common.precision, flags.common.engine});
  const Transforms transforms(model.info.pp_eval);
  BatchLoader loader(*source, transforms, one_pass(flags.images.loader, *source));
  Progress progress("predict", source->size(), flags.common.is_quiet);
  int64_t num_images = 0;
  for (Batch batch; loader.next(batch);) {
    if (stop_signal() != 0) throw Stopped("stopped after ", num_images, " images");
    if (!batch.images_BCHW.defined()) continue;
    const at::Tensor logits_BC = model.predictor->logits(batch.images_BCHW).cpu();
    const auto [values, indices] =
        (flags.is_sigmoid ? at::sigmoid(logits_BC) : at::softmax(logits_BC, 1))
            .topk(std::min(flags.top, logits_BC.size(1)));
    std::string text;
    for (int64_t i = 0; i < logits_BC.size(0); ++i) {
      const Prediction said{batch.ids[static_cast<size_t>(i)], values[i], indices[i]};
      if (flags.common.is_json) text += num_images > 0 ? ",\n" : "[\n";
      text += flags.common.is_json ? as_json(model.info, said) : as_text(model.info, said);
      ++num_images;
    }
    print_out(text);
    progress.update(num_images);
  }
  for (const BadSample& bad : loader.bad_samples())
    log_warn(concat("left out: ", bad.id, ": ", bad.reason));
  if (flags.common.is_json) print_out(num_images > 0 ? "\n]\n" : "[]\n");
}

}  // namespace

void add_predict(CLI::App& app) {
  auto flags = std::make_shared<PredictFlags>();
  CLI::App* command = app.add_subcommand("predict", "the most probable labels of image files");
  command->add_option("checkpoint", flags->checkpoint, "checkpoint or run folder")->required();
  add_image_flags(*command, flags->images);
  command->add_option("--top", flags->top, "labels an image")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command->add_flag("--sigmoid", flags->is_sigmoid,
                    "independent probabilities, for multi-label models");
  add_common_flags(*command, flags->common, kDevice | kPrecision | kJson);
  command->callback([flags] { run_predict(*flags); });
}

}  // namespace vit22b
