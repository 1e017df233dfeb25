#include "cli/layout_flags.h"

#include <CLI/CLI.hpp>

#include "core/error.h"
#include "core/text.h"
#include "eval/vit_predictor.h"

namespace vit22b {
namespace {

// "5GB" and "512MB" are powers of ten, as in Hugging Face's tools; "" is 0.
int64_t parse_bytes(const std::string& text) {
  if (text.empty()) return 0;
  const std::map<std::string, double> units = {{"MB", 1e6}, {"GB", 1e9}};
  const auto number = leading_number(text);
  const auto unit = number ? units.find(number->second) : units.end();
  if (unit == units.end() || !(number->first * unit->second >= 1 && number->first < 1e9))
    throw UsageError("--shard-size ", text, ": want a number with MB or GB, such as 5GB");
  return static_cast<int64_t>(number->first * unit->second);
}

}  // namespace

WeightLayout LayoutFlags::layout() const {
  if (to == "timm" && !shard_size.empty())
    throw UsageError("--to timm: its local-dir reads one file; leave --shard-size away");
  return {precision_type(dtype), parse_bytes(shard_size)};
}

void add_layout_flags(CLI::App& command, LayoutFlags& flags, const std::string& formats,
                      const std::string& help) {
  command
      .add_option("--dtype", flags.dtype,
                  "fp32 or bf16: how the matrices of blocks and pool lie on disk")
      ->capture_default_str()
      ->check(CLI::IsMember({"fp32", "bf16"}));
  command
      .add_option("--to", flags.to,
                  "the names and config of Hugging Face's transformers (hf) or timm instead of "
                  "ours, which are timm's with fields of our own" +
                      help)
      ->check(CLI::IsMember(split(formats, '|')));
  command.add_option("--shard-size", flags.shard_size,
                     "largest file, such as 5GB: shards and their index instead of one file (timm "
                     "reads no shards)");
}

}  // namespace vit22b
