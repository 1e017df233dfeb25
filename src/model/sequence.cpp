#include "model/sequence.h"

namespace vit22b {
namespace {

// Places along one side: 0, 1, 2, … from an offset on, scaled to a reference's numbers; or the
// middles of as many parts of [-1, 1].
at::Tensor places(const RotaryConfig& c, int64_t count, int64_t reference) {
  const at::Tensor index = at::arange(count, at::kFloat);
  const auto size = static_cast<double>(count);
  if (c.rope == "centre") return (index + 0.5) / size * 2 - 1;
  const at::Tensor place = index + c.rope_offset;
  return reference > 0 ? place / size * static_cast<double>(reference) : place;
}

// Angles y / p and x / p of each patch, with periods p from 1 (centre: over a whole turn) to theta;
// prefix tokens do not turn.
RotaryTables rotary_tables(const ViTConfig& c, const Sequence& s, at::Device device) {
  constexpr double kTurn = 6.283185307179586;
  const RotaryConfig& rotary = c.rotary;
  const int64_t count = c.head_dim() / 4;
  const at::Tensor periods = rotary_periods(rotary, count) / (rotary.rope == "centre" ? kTurn : 1);
  const std::vector<int64_t> shape = {s.grid_height, s.grid_width, count};
  const auto angles = [&](int64_t side, int64_t reference) {
    return places(rotary, side, reference).unsqueeze(1) / periods;
  };
  const at::Tensor y = angles(s.grid_height, rotary.rope_ref.height).unsqueeze(1).expand(shape),
                   x = angles(s.grid_width, rotary.rope_ref.width).unsqueeze(0).expand(shape);
  const at::Tensor patches =
      (rotary.rope_xy ? at::cat({x, y}, -1) : at::cat({y, x}, -1)).flatten(0, 1);
  const at::Tensor tokens =
      at::cat({at::zeros({s.prefix_tokens, 2 * count}), patches.repeat({s.frames, 1})});
  const at::Tensor all =
      rotary.rope_half ? at::cat({tokens, tokens}, 1) : tokens.repeat_interleave(2, 1);
  return {all.cos().to(device), all.sin().to(device), rotary.rope_half};
}

Sequence sequence_of_words(const TextConfig& c, const at::Tensor& words_BT) {
  Sequence s;
  s.mask.is_causal = c.causal;
  if (c.text_pool == "argmax") s.picked_B = words_BT.argmax(1);
  if (c.text_pool == "eos") s.picked_B = words_BT.eq(c.eos_id).to(at::kInt).argmax(1);
  return s;
}

}  // namespace

at::Tensor rotary_periods(const RotaryConfig& c, int64_t count) {
  const at::Tensor periods = at::pow(c.rope_theta, at::arange(count, at::kFloat) / count);
  return c.rope_bf16 ? periods.to(at::kBFloat16).to(at::kFloat) : periods;
}

Sequence sequence_of(const ViTConfig& config, const at::Tensor& input) {
  if (config.reads_words()) return sequence_of_words(config.text, input);
  Sequence s{.prefix_tokens = config.num_prefix_tokens(),
             .grid_height = input.size(2) / config.patch_size,
             .grid_width = input.size(3) / config.patch_size};
  if (config.rotary.rope != "none") s.rotary = rotary_tables(config, s, input.device());
  return s;
}

}  // namespace vit22b
