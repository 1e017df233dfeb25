#include "cli/checkpoint_flags.h"

#include <CLI/CLI.hpp>
#include <charconv>

#include "core/error.h"
#include "core/file.h"
#include "data/delimited.h"

namespace vit22b {
namespace {

int64_t side_of(std::string_view text) {
  int64_t side = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), side);
  const bool is_number = error == std::errc() && end == text.data() + text.size();
  return is_number && side > 0 && side <= 65536 ? side : 0;
}

ImageSize size_of(const std::string& text) {
  const size_t x = text.find('x');
  const int64_t height = side_of(std::string_view(text).substr(0, x)),
                width = x == std::string::npos ? height : side_of(text.substr(x + 1));
  if (height == 0 || width == 0)
    throw UsageError("--img-size ", text, ": want N, or HEIGHTxWIDTH, in pixels");
  return {height, width};
}

}  // namespace

void add_pixel_flags(CLI::App& command, PixelChanges& changes, const std::string& pp_help) {
  command.add_option("--pp", changes.pp, pp_help);
  command.add_option_function<std::string>(
      "--img-size", [&changes](const std::string& text) { changes.size = size_of(text); },
      "input size in pixels instead of the checkpoint's, N or HEIGHTxWIDTH; positions are "
      "resampled to it");
  command
      .add_option("--crop-pct", changes.crop_pct,
                  "part of the resized picture's side that the crop takes (timm's crop_pct)")
      ->check(CLI::Range(0.01, 10.0));
  command
      .add_option("--interpolation", changes.interpolation, "of the resize: bilinear or bicubic")
      ->check(CLI::IsMember({"bilinear", "bicubic"}));
}

std::vector<std::string> pixel_flag_names() {
  return {"--pp", "--img-size", "--crop-pct", "--interpolation"};
}

void add_checkpoint_flags(CLI::App& command, CheckpointFlags& flags, const char* checkpoint_help) {
  command.add_option("checkpoint", flags.path, checkpoint_help)->required();
  add_pixel_flags(command, flags.pixels);
}

void add_labels_flag(CLI::App& command, std::string& labels, const char* help) {
  command.add_option("--labels", labels, help);
}

void add_class_map_flag(CLI::App& command, std::string& class_map, const std::string& which) {
  command.add_option("--class-map", class_map,
                     concat("file that says which of ", which,
                            ": a name a line in their order, or lines of a name and a number"));
}

std::vector<std::string> read_labels(const std::string& path, int64_t num_classes) {
  const std::string whole = read_text_or_pipe(path, ExitCode::kData);
  std::string_view text = without_byte_order_mark(whole);
  while (text.ends_with("\n") || text.ends_with("\r")) text.remove_suffix(1);
  std::vector<std::string> names = split(text, '\n');
  for (size_t i = 0; i < names.size(); ++i) {
    names[i] = trim(names[i]);
    if (names[i].empty()) throw DataError(path, ":", i + 1, ": no name; want one a line");
  }
  if (static_cast<int64_t>(names.size()) != num_classes)
    throw DataError(path, " names ", names.size(), " classes, there are ", num_classes);
  return names;
}

PredictorOptions predictor_options(const CommonFlags& flags, const Device& device) {
  return {
      .device = device, .precision = flags.precision, .engine = flags.engine, .store = flags.store};
}

void apply_checkpoint_flags(const CheckpointFlags& flags, LoadedModel& model) {
  apply_pixel_changes(flags.pixels, model.info);
  if (!flags.labels.empty())
    model.info.label_names = read_labels(flags.labels, model.info.config.num_classes);
}

LoadedModel open_checkpoint(const CheckpointFlags& flags, const PredictorOptions& options) {
  LoadedModel model = load_predictor(flags.path, for_changed_pixels(flags.pixels, options));
  apply_checkpoint_flags(flags, model);
  return model;
}

std::string label_text(const ModelInfo& info, int64_t index) {
  const bool is_named = static_cast<size_t>(index) < info.label_names.size();
  return is_named ? info.label_names[static_cast<size_t>(index)] : std::to_string(index);
}

}  // namespace vit22b
