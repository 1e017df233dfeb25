#include "model/engine/fused_gradients.h"

#include <algorithm>

#include "kernels/cpu/tasks.h"

namespace vit22b::fused {

using cpu::Rows;
using cpu::Tile;

void add_row_sums(const Rows& from, int64_t rows, int64_t columns, float* sums) {
  constexpr int64_t kColumns = 64;  // a thread sums whole lines
  cpu::for_each_task((columns + kColumns - 1) / kColumns, [&](int64_t i) {
    const int64_t first = i * kColumns;
    cpu::add_column_sums(from.at(0, first), rows, std::min(kColumns, columns - first),
                         sums + first);
  });
}

BlockGradients::BlockGradients(const BlockWeights& weights, UnitGrads* grads)
    : weights_(weights),
      grads_(grads),
      storage_(weights.storage()),
      arithmetic_(cpu::best_arithmetic(storage_)) {}

at::Tensor BlockGradients::factor(const at::Tensor& gradient) const {
  return gradient.to(arithmetic_ == cpu::Arithmetic::kHalf ? at::kBFloat16 : at::kFloat);
}

Target BlockGradients::target(const std::string& name, const char* suffix) const {
  if (grads_ == nullptr || name.empty()) return {};
  const auto it = grads_->tensors.find(name + suffix);
  if (it == grads_->tensors.end()) return {};
  return {it->second.mutable_data_ptr<float>(), it->second.size(-1)};
}

void BlockGradients::weight_gradient(const LinearSpec& linear, const at::Tensor& d_output,
                                     const at::Tensor& input) const {
  if (linear.adapter.exists()) adapter_gradient(linear, d_output, input);
  const Target weight = target(linear.weight);
  if (weight.data == nullptr) return;
  cpu::product_into(
      {weight.data + linear.first_row * weight.columns, weight.columns, linear.out, linear.in},
      {{.a = rows_of(d_output),
        .is_a_transposed = true,
        .b = rows_of(input),
        .k = d_output.size(0)}},
      !is_overwrite(), arithmetic_);
}

Rows BlockGradients::adapter_a(const LinearSpec& linear) const {
  return weight_rows(weights_.tensors().at(linear.adapter.a), storage_);
}

Rows BlockGradients::adapter_b(const LinearSpec& linear) const {
  return weight_rows(weights_.tensors().at(linear.adapter.b), storage_).at(linear.first_row, 0);
}

at::Tensor BlockGradients::scaled_product(double scale, int64_t rows, int64_t columns,
                                          const cpu::Term& term) const {
  const at::Tensor product = at::empty({rows, columns}, at::kFloat);
  cpu::product_into(tile_of(product), {term}, false, arithmetic_);
  return factor(product.mul_(scale));
}

at::Tensor BlockGradients::adapter_inner(const LinearSpec& linear, const at::Tensor& input) const {
  return scaled_product(
      linear.adapter.scale, input.size(0), linear.adapter.rank,
      {.a = rows_of(input), .b = adapter_a(linear), .is_b_transposed = true, .k = linear.in});
}

at::Tensor BlockGradients::adapter_inner_gradient(const LinearSpec& linear,
                                                  const at::Tensor& d_output) const {
  return scaled_product(linear.adapter.scale, d_output.size(0), linear.adapter.rank,
                        {.a = rows_of(d_output), .b = adapter_b(linear), .k = linear.out});
}

// Layers that are rows of one weight share its A, which the pass begins with zeros.
void BlockGradients::adapter_gradient(const LinearSpec& linear, const at::Tensor& d_output,
                                      const at::Tensor& input) const {
  const auto add = [&](const Target& to, int64_t rows, const at::Tensor& of_rows,
                       const at::Tensor& of_columns, bool is_accumulating) {
    cpu::product_into({to.data, to.columns, rows, to.columns},
                      {{.a = rows_of(of_rows),
                        .is_a_transposed = true,
                        .b = rows_of(of_columns),
                        .k = of_rows.size(0)}},
                      is_accumulating, arithmetic_);
  };
  const AdapterSpec& adapter = linear.adapter;
  if (const Target a = target(adapter.a); a.data != nullptr)
    add(a, adapter.rank, adapter_inner_gradient(linear, d_output), input, true);
  Target b = target(adapter.b);
  if (b.data == nullptr) return;
  b.data += linear.first_row * b.columns;
  add(b, linear.out, d_output, adapter_inner(linear, input), !is_overwrite());
}

void BlockGradients::column_sums(const LinearSpec& linear, const at::Tensor& d_output) const {
  const Target bias = target(linear.bias);
  if (bias.data == nullptr) return;
  add_row_sums(rows_of(d_output), d_output.size(0), d_output.size(1),
               bias.data + linear.bias_first);
}

at::Tensor BlockGradients::through_scale(const at::Tensor& g, const std::string& name,
                                         const at::Tensor& branch) const {
  if (name.empty()) return g;
  const Target scale = target(name);
  if (scale.data == nullptr) return g * weights_.tensors().at(name);
  const int64_t width = weights_.block().width;
  std::vector<float> sums(static_cast<size_t>(width), 0.0F);
  at::Tensor scaled = g.clone();
  cpu::scale_backward(tile_of(scaled), weights_.vector(name), rows_of(branch), sums.data());
  cpu::add_column_sums({sums.data(), width}, 1, width, scale.data);
  return scaled;
}

HiddenGradient::HiddenGradient(const BlockGradients& gradients, const BlockSpec& block,
                               const at::Tensor& pre_activation, const at::Tensor& gate)
    : block_(block),
      kept_(rows_of(pre_activation)),
      gate_(gate.defined() ? rows_of(gate) : Rows{}),
      d_hidden_(gradients.empty(pre_activation.size(0), block.hidden)),
      d_gate_(gate.defined() ? gradients.empty(gate.size(0), block.hidden) : at::Tensor()),
      bias_(gradients.target(block.fc1.bias)),
      gate_bias_(gradients.target(block.gate.bias)),
      shares_(bias_.data != nullptr || gate_bias_.data != nullptr
                  ? cpu::max_row_shares(pre_activation.size(0))
                  : 0) {}

cpu::Epilogue HiddenGradient::epilogue(int64_t first_row) {
  const Rows out = rows_of(d_hidden_), gate_out = d_gate_.defined() ? rows_of(d_gate_) : Rows{};
  return [=, this](const Tile& tile, int64_t row, int64_t column, int64_t share) {
    const int64_t own_row = first_row + row;
    const Rows activation = kept_.at(own_row, column);
    float* sums = shares_.empty() ? nullptr : sums_of(share) + column;
    if (gate_.data == nullptr)
      cpu::activation_backward(tile, activation, block_.activation, activation,
                               out.at(own_row, column), sums);
    else
      cpu::gated_backward(tile, activation, gate_.at(own_row, column), block_.activation,
                          {out.at(own_row, column), gate_out.at(own_row, column), sums,
                           sums == nullptr ? nullptr : sums + block_.hidden});
  };
}

float* HiddenGradient::sums_of(int64_t share) {
  Share& own = shares_[static_cast<size_t>(share)];
  std::call_once(own.is_made, [&] {
    own.sums.assign(static_cast<size_t>((block_.is_gated() ? 2 : 1) * block_.hidden), 0.0F);
  });
  return own.sums.data();
}

void HiddenGradient::finish() {
  const int64_t n = block_.hidden;
  for (Share& share : shares_) {
    if (share.sums.empty()) continue;
    if (bias_.data != nullptr)
      cpu::add_column_sums({share.sums.data(), n}, 1, n, bias_.data + block_.fc1.bias_first);
    if (gate_bias_.data != nullptr)
      cpu::add_column_sums({share.sums.data() + n, n}, 1, n,
                           gate_bias_.data + block_.gate.bias_first);
  }
}

}  // namespace vit22b::fused
