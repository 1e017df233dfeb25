#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/image_input.h"
#include "core/error.h"
#include "eval/load_predictor.h"

namespace vit22b {
namespace {

struct PredictFlags {
  CommonFlags common;
  std::string checkpoint;
  std::vector<std::string> images;
  int64_t top = 5;
  bool is_sigmoid = false;
};

void run_predict(const PredictFlags& flags) {
  const Device device = begin_command(flags.common);
  const LoadedModel model =
      load_predictor(flags.checkpoint, {device, flags.common.precision, flags.common.engine});
  const Transforms transforms(model.info.pp_eval);
  const std::vector<std::string> paths = expand_image_paths(flags.images);
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  std::string text;
  for (const std::string& path : paths) {
    const at::Tensor logits =
        model.predictor->logits(load_image(path, transforms).unsqueeze(0)).cpu()[0];
    const at::Tensor probabilities =
        flags.is_sigmoid ? at::sigmoid(logits) : at::softmax(logits, 0);
    const auto [values, indices] = probabilities.topk(std::min(flags.top, logits.numel()));
    nlohmann::ordered_json predictions = nlohmann::ordered_json::array();
    text += path + "\n";
    for (int64_t i = 0; i < values.numel(); ++i) {
      const auto index = indices[i].item<int64_t>();
      const auto probability = values[i].item<double>();
      const bool is_named = static_cast<size_t>(index) < model.info.label_names.size();
      const std::string label =
          is_named ? model.info.label_names[static_cast<size_t>(index)] : std::to_string(index);
      predictions.push_back({{"label", label}, {"index", index}, {"probability", probability}});
      char line[256];
      std::snprintf(line, sizeof line, "  %6.2f %%  %s\n", 100 * probability, label.c_str());
      text += line;
    }
    all.push_back({{"path", path}, {"predictions", predictions}});
  }
  print_out(flags.common.is_json ? all.dump(1) + "\n" : text);
}

}  // namespace

void add_predict(CLI::App& app) {
  auto flags = std::make_shared<PredictFlags>();
  CLI::App* command = app.add_subcommand("predict", "the most probable labels of image files");
  command->add_option("checkpoint", flags->checkpoint, "checkpoint or run folder")->required();
  command->add_option("images", flags->images, "image files or folders of them")->required();
  command->add_option("--top", flags->top, "labels an image")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command->add_flag("--sigmoid", flags->is_sigmoid,
                    "independent probabilities, for multi-label models");
  add_common_flags(*command, flags->common, kDevice | kPrecision | kJson);
  command->callback([flags] { run_predict(*flags); });
}

}  // namespace vit22b
