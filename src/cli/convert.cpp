#include "checkpoint/convert.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "checkpoint/export/exporter.h"
#include "cli/command.h"
#include "cli/layout_flags.h"
#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "core/signals.h"
#include "core/text.h"
#include "core/text_table.h"
#include "data/delimited.h"

namespace vit22b {
namespace {

struct ConvertFlags {
  CommonFlags common;
  LayoutFlags layout;
  std::string in, out;
  bool has_no_head = false, has_data_beside = false;
  std::string pixel_head, labels;
};

bool is_renamed(const ConvertedTensor& tensor) {
  return tensor.from != std::vector<std::string>{tensor.name};
}

nlohmann::ordered_json json_of(const Conversion& done) {
  nlohmann::ordered_json renamed = nlohmann::ordered_json::array(),
                         function = nlohmann::ordered_json::array();
  for (const ConvertedTensor& tensor : done.tensors)
    if (is_renamed(tensor)) renamed.push_back({{"name", tensor.name}, {"from", tensor.from}});
  for (const auto& [field, value, from] : function_of(done.info))
    function.push_back({{"field", field}, {"value", value}, {"from", from}});
  return {{"mapped", done.tensors.size()},
          {"renamed", renamed},
          {"missing", nlohmann::ordered_json::array()},
          {"unexpected", done.left},
          {"function", function}};
}

std::string text_of(const Conversion& done) {
  constexpr auto kLeft = TextTable::Align::kLeft;
  TextTable rows({kLeft, kLeft});
  int64_t same = 0;
  for (const ConvertedTensor& tensor : done.tensors) {
    if (!is_renamed(tensor)) {
      ++same;
      continue;
    }
    rows.add({tensor.name, tensor.from.empty() ? "zeros" : join(tensor.from, " + ")});
  }
  std::string text =
      concat(done.tensors.size(), " tensors, ", same, " of them under timm's names\n", rows.text());
  for (const std::string& name : done.left) text += concat("left  ", name, "\n");
  return text;
}

/// What names no place of this machine, or looks like a file of a format that is not asked for.
void check_place(const std::string& out, const std::string& format) {
  if (is_remote_checkpoint(out))
    throw UsageError(out, ": nothing is uploaded; want a folder or a file of this machine");
  for (const char* one : {kNpzFormat, kOnnxFormat})
    if (format.empty() && out.ends_with(concat(".", one)))
      throw UsageError(out, " would be a folder; --to ", one, " writes such a file");
}

void run_convert(const ConvertFlags& flags) {
  begin_command(flags.common);
  ConvertOptions options{flags.layout.to, flags.layout.layout(), flags.has_no_head};
  options.pixel_head = flags.pixel_head;
  if (!flags.labels.empty()) {
    if (flags.pixel_head.empty()) throw UsageError("--labels names the classes of --pixel-head");
    options.pixel_names = lines_of(read_text(flags.labels, ExitCode::kData));
  }
  options.on_tensor = [] {
    if (stop_signal() != 0) throw Stopped("stopped; no checkpoint was written");
  };
  const bool is_onnx = options.format == kOnnxFormat;
  check_place(flags.out, options.format);
  options.has_data_beside = flags.has_data_beside;
  if (flags.has_data_beside && !is_onnx) throw UsageError("--external-data goes with --to onnx");
  FileOps ops(ExitCode::kCheckpoint);
  const Conversion done = convert_checkpoint(ops, resolve_checkpoint(flags.in), flags.out, options);
  log_info(concat("wrote ", flags.out, is_onnx ? "" : ", and read every tensor back from it"));
  print_out(flags.common.is_json ? json_of(done).dump(1) + "\n" : text_of(done));
}

}  // namespace

void add_convert(CLI::App& app) {
  auto flags = std::make_shared<ConvertFlags>();
  CLI::App* convert = app.add_subcommand(
      "convert", "write a checkpoint as another library has it, adapters added to its weights");
  convert->add_option("in", flags->in, "checkpoint, run folder or file of weights")->required();
  convert
      ->add_option(
          "out", flags->out,
          "folder of the new checkpoint; with --to npz or onnx a file, OUT.npz or OUT.onnx")
      ->required();
  add_layout_flags(*convert, flags->layout,
                   concat(export_formats(), "|", kNpzFormat, "|", kOnnxFormat),
                   "; npz: Flax's arrays under big_vision's names, in one file; onnx: a graph for "
                   "ONNX Runtime, OpenVINO and others, in one file");
  convert->add_flag("--external-data", flags->has_data_beside,
                    "with --to onnx: weights in OUT.onnx.data, as above 2 GB always");
  convert->add_flag("--no-head", flags->has_no_head, "leave the classifier behind");
  convert->add_option(
      "--pixel-head", flags->pixel_head,
      "DINOv2's own file of a linear segmentation head, or of a linear or DPT depth "
      "head (decode_head.*), as head.pth?depth.max_depth=10");
  convert->add_option("--labels", flags->labels, "file with the name of its classes, one a line");
  add_common_flags(*convert, flags->common, kJson);
  convert->callback([flags] { run_convert(*flags); });
}

}  // namespace vit22b
