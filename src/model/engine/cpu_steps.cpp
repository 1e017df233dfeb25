#include "model/engine/cpu_steps.h"

#include <ATen/Parallel.h>

#include <algorithm>

#include "kernels/cpu/tasks.h"

namespace vit22b::fused {

using cpu::Rows;
using cpu::Tile;

CpuSteps::CpuSteps(const BlockWork& work)
    : l_(work.block),
      w_(work.block, work.weights, work.compute_type),
      g_(w_, work.grads),
      arithmetic_(cpu::best_arithmetic(w_.storage())),
      sequence_(work.sequence),
      images_(work.x_BTD.size(0)),
      tokens_(work.x_BTD.size(1)) {}

cpu::AttentionShape CpuSteps::attention(const at::Tensor& qkv) const {
  const AttentionMask& mask = sequence_.mask;
  const RotaryTables& rotary = sequence_.rotary;
  cpu::AttentionShape shape{.images = images_,
                            .queries = tokens_,
                            .tokens = tokens_,
                            .heads = l_.heads,
                            .head_size = l_.head_size(),
                            .rows = cpu::columns_of(rows_of(qkv), l_.width),
                            .q_norm = w_.norm(l_.q_norm),
                            .k_norm = w_.norm(l_.k_norm),
                            .is_causal = mask.is_causal,
                            .arithmetic = arithmetic_};
  if (mask.lengths_B.defined()) shape.lengths = mask.lengths_B.const_data_ptr<int64_t>();
  if (rotary.is_defined())
    shape.rotation = {rotary.cos_TK.const_data_ptr<float>(), rotary.sin_TK.const_data_ptr<float>(),
                      rotary.is_half};
  return shape;
}

at::Tensor CpuSteps::attend(const at::Tensor& qkv, AttentionTape* kept) const {
  at::Tensor attended = empty(l_.width), lse;
  if (kept != nullptr) lse = at::empty({images_, l_.heads, tokens_}, at::kFloat);
  cpu::attention_forward(attention(qkv), rows_of(attended),
                         lse.defined() ? lse.mutable_data_ptr<float>() : nullptr);
  if (kept != nullptr) kept->statistics = lse;
  return attended;
}

at::Tensor CpuSteps::back_attend(SavedBlock& saved, const at::Tensor& d_attended) {
  at::Tensor d_qkv = g_.empty(rows(), l_.qkv.out);
  cpu::attention_backward(
      attention(saved.qkv), rows_of(saved.attended),
      saved.attention.statistics.const_data_ptr<float>(), rows_of(d_attended),
      cpu::columns_of(rows_of(d_qkv), l_.width),
      {g_.target(l_.q_norm.name, ".weight").data, g_.target(l_.q_norm.name, ".bias").data,
       g_.target(l_.k_norm.name, ".weight").data, g_.target(l_.k_norm.name, ".bias").data});
  saved.qkv.reset();
  saved.attended.reset();
  return d_qkv;
}

Destination CpuSteps::begin(const InProduct& wanted, const at::Tensor& gate) const {
  const bool is_over_gate = wanted.is_gated && wanted.pre_activation == nullptr;
  const at::Tensor result = is_over_gate ? gate : empty(wanted.linear->out);
  const Rows out = rows_of(result);
  const float* bias = w_.bias(*wanted.linear);
  if (wanted.is_activated) {
    Rows pre{nullptr, l_.hidden, out.storage};
    if (wanted.pre_activation != nullptr)
      pre = rows_of(*wanted.pre_activation = empty(wanted.linear->out));
    const Rows gates = wanted.is_gated ? rows_of(gate) : Rows{};
    return {result, false, [=, form = l_.activation](int64_t first_row) {
              return [=](const Tile& tile, int64_t row, int64_t column, int64_t) {
                const float* own = bias == nullptr ? nullptr : bias + column;
                const Rows kept = pre.data == nullptr ? pre : pre.at(first_row + row, column),
                           to = out.at(first_row + row, column);
                gates.data == nullptr
                    ? cpu::bias_activation(tile, own, form, kept, to)
                    : cpu::gated_activation(tile, own, gates.at(first_row + row, column), form,
                                            kept, to);
              };
            }};
  }
  return begin_biased(*wanted.linear, result);
}

Destination CpuSteps::begin_biased(const LinearSpec& linear, const at::Tensor& result) const {
  const Rows out = rows_of(result);
  const float* bias = w_.bias(linear);
  if (bias == nullptr && out.storage == cpu::Storage::kFloat32) return {result, true};
  return {result, false, [=](int64_t first_row) {
            return [=](const Tile& tile, int64_t row, int64_t column, int64_t) {
              cpu::bias_store(tile, bias == nullptr ? nullptr : bias + column,
                              out.at(first_row + row, column));
            };
          }};
}

Destination CpuSteps::begin(const OutGradient& wanted) const {
  if (wanted.is_activated) {
    const auto hidden = std::make_shared<HiddenGradient>(
        g_, l_, *wanted.input, wanted.gate != nullptr ? *wanted.gate : at::Tensor());
    return {hidden->result(), false,
            [hidden](int64_t first_row) { return hidden->epilogue(first_row); }, hidden};
  }
  const at::Tensor result = g_.empty(rows(), wanted.linear->in);
  if (result.scalar_type() == at::kFloat) return {result, true};
  return {result, false, [out = rows_of(result)](int64_t first_row) {
            return [=](const Tile& tile, int64_t row, int64_t column, int64_t) {
              cpu::store_rows(tile, out.at(first_row + row, column));
            };
          }};
}

void CpuSteps::finish(const OutGradient& wanted, const Destination& to) {
  if (to.hidden == nullptr) return;
  to.hidden->finish();
  if (wanted.gate == nullptr) return;
  *wanted.gate_gradient = to.hidden->gate_result();
  wanted.gate->reset();
}

Destination CpuSteps::begin(const Branch& branch, const at::Tensor& residual_BTD,
                            at::Tensor* kept) const {
  if (branch.norm.exists()) return begin_biased(*branch.biased, empty(l_.width));
  const at::Tensor result = at::empty_like(residual_BTD);
  const Rows out = rows_of(result), base = rows_of(residual_BTD);
  Rows unscaled{nullptr, l_.width, out.storage};
  if (kept != nullptr) unscaled = rows_of(*kept = empty(l_.width));
  const float *bias = w_.bias(*branch.biased), *scale = w_.vector(branch.scale);
  return {result, false, [=](int64_t first_row) {
            return [=](const Tile& tile, int64_t row, int64_t column, int64_t) {
              cpu::bias_scale_residual(
                  tile, bias == nullptr ? nullptr : bias + column,
                  scale == nullptr ? nullptr : scale + column, base.at(first_row + row, column),
                  unscaled.data == nullptr ? unscaled : unscaled.at(first_row + row, column),
                  out.at(first_row + row, column));
            };
          }};
}

at::Tensor CpuSteps::joined(const Branch& branch, const at::Tensor& residual_BTD, at::Tensor result,
                            at::Tensor* kept) const {
  if (!branch.norm.exists()) return result;
  if (kept != nullptr) *kept = result;
  return residual_BTD + norm(branch.norm, result).view(residual_BTD.sizes());
}

at::Tensor CpuSteps::branch_gradient(const at::Tensor& gradient_ND, const Branch& branch,
                                     const at::Tensor& kept) const {
  const at::Tensor before = branch.norm.exists()
                                ? back_norm(branch.norm, kept, gradient_ND)
                                : g_.through_scale(gradient_ND, branch.scale, kept);
  at::Tensor d_branch = g_.factor(before);
  g_.column_sums(*branch.biased, d_branch);
  return d_branch;
}

void CpuSteps::back_hidden(const OutGradient& wanted, const at::Tensor& d_hidden_NM) {
  Destination to = begin(wanted);
  const Tile all = tile_of(d_hidden_NM);
  const int64_t shares = std::min<int64_t>(at::get_num_threads(), cpu::max_row_shares(all.rows));
  const cpu::Epilogue epilogue = to.epilogue(0);
  cpu::for_each_task(shares, [&](int64_t i) {
    const int64_t first = i * all.rows / shares, last = (i + 1) * all.rows / shares;
    epilogue({all.data + first * all.stride, all.stride, last - first, all.columns}, first, 0, i);
  });
  finish(wanted, to);
  wanted.input->reset();
  wanted.done(std::move(to.result));
}

}  // namespace vit22b::fused
