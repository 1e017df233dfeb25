#include "optim/adafactor.h"

#include <ATen/Parallel.h>

#include "kernels/cpu/tasks.h"
#include "kernels/cpu/update.h"
#include "kernels/device_ops.h"
#include "optim/update.h"

namespace vit22b {
namespace {

constexpr double kDecayExponent = 0.8;  // big_vision optax.py
constexpr double kSquareEps = 1e-30;

/// The two largest dims, the second largest first; later dims win ties, as in optax's
/// factored_dims.
struct FactoredDims {
  bool is_factored = false;
  int64_t second = 0, largest = 0;
};

FactoredDims factored_dims(at::IntArrayRef shape, int64_t min_size) {
  if (shape.size() < 2) return {};
  std::vector<std::pair<int64_t, int64_t>> order;
  order.reserve(shape.size());
  for (size_t i = 0; i < shape.size(); ++i) order.emplace_back(shape[i], static_cast<int64_t>(i));
  std::sort(order.begin(), order.end());
  const auto [second_size, second] = order[order.size() - 2];
  if (second_size < min_size) return {};
  return {true, second, order.back().second};
}

// What the squares of a matrix (or this rank's part of one), times the gradient's scale squared,
// add up to by row and by column.
struct SquareSums {
  at::Tensor by_row, by_column;
};

SquareSums square_sums(const at::Tensor& gradient, float scale) {
  const int64_t rows = gradient.size(0), columns = gradient.size(1);
  const int64_t shares = std::clamp<int64_t>(gradient.numel() / kUpdateGrain, 1,
                                             std::min<int64_t>(rows, at::get_num_threads()));
  SquareSums sums{at::zeros({rows}), at::zeros({shares, columns})};
  const float* g = gradient.const_data_ptr<float>();
  float* by_row = sums.by_row.mutable_data_ptr<float>();
  float* by_column = sums.by_column.mutable_data_ptr<float>();
  cpu::for_each_task(shares, [&](int64_t i) {
    const int64_t first = i * rows / shares, count = (i + 1) * rows / shares - first;
    cpu::add_square_sums(g + first * columns, count, columns, scale, by_row + first,
                         by_column + i * columns);
  });
  sums.by_column = sums.by_column.sum(0);
  return sums;
}

struct Betas {
  double first, second;
};

// What each row and each column of the gradient is multiplied by.
struct Factors {
  at::Tensor of_rows, of_columns;
};

// Brings the factored second moment up to date by the gradient's sums.
Factors next_factors(const SquareSums& sums, NamedTensors& slots, const FactoredDims& dims,
                     const PartMeans& means, double beta2, const at::Tensor& scale) {
  const at::Tensor row_means = (means.mean_of_sums(sums.by_row, 1) + kSquareEps).unsqueeze(1),
                   column_means = (means.mean_of_sums(sums.by_column, 0) + kSquareEps).unsqueeze(0);
  const bool is_wide = dims.largest == 1;  // the slot "rows" is averaged over the largest dim
  at::Tensor& second = slots.at("second_moment_rows");
  at::Tensor& largest = slots.at("second_moment_columns");
  assign(second, second.lerp(is_wide ? row_means : column_means, 1 - beta2), scale);
  assign(largest, largest.lerp(is_wide ? column_means : row_means, 1 - beta2), scale);
  const at::Tensor second_factor = (second / means.mean(second, dims.second)).rsqrt().flatten(),
                   largest_factor = largest.rsqrt().flatten();
  return is_wide ? Factors{second_factor, largest_factor} : Factors{largest_factor, second_factor};
}

// A factored matrix with momentum: one pass for the sums, one for the update.
void fused_update(at::Tensor& weight, const at::Tensor& gradient, NamedTensors& slots,
                  const FactoredDims& dims, const Betas& betas, const UpdateContext& context) {
  const float scale = scale_on_host(context);
  if (!std::isfinite(scale)) return;
  const int64_t rows = weight.size(0), columns = weight.size(1);
  const Factors factors =
      next_factors(square_sums(gradient, scale), slots, dims, {context, weight.sizes()},
                   betas.second, scale_tensor(context, weight));
  const cpu::AdafactorStep step{scale, static_cast<float>(betas.first),
                                static_cast<float>(context.learning_rate),
                                static_cast<float>(context.weight_decay)};
  const float* g = gradient.const_data_ptr<float>();
  const float* of_rows = factors.of_rows.const_data_ptr<float>();
  const float* of_columns = factors.of_columns.const_data_ptr<float>();
  const WeightOnCpu w(weight, context);
  auto* m = static_cast<uint16_t*>(slots.at("momentum").mutable_data_ptr());
  const int64_t rows_at_once = std::max<int64_t>(1, kUpdateGrain / columns);
  at::parallel_for(0, rows, rows_at_once, [&](int64_t begin, int64_t end) {
    std::vector<uint32_t> random;
    for (int64_t row = begin; row < end; row += rows_at_once) {
      const int64_t count = std::min(rows_at_once, end - row), at = row * columns;
      cpu::adafactor_update({count, columns, g + at, of_rows + row, of_columns,
                             w.values(at, count * columns, random), m + at},
                            step);
    }
  });
}

// The same on a device's operations.
void device_update(at::Tensor& weight, const at::Tensor& gradient, NamedTensors& slots,
                   const FactoredDims& dims, const Betas& betas, const UpdateContext& context) {
  const DeviceOps& ops = device_ops(weight.device());
  const at::Tensor scale = scale_tensor(context, weight);
  const auto [by_row, by_column] = ops.square_sums(gradient, scale);
  const Factors factors = next_factors({by_row, by_column}, slots, dims, {context, weight.sizes()},
                                       betas.second, scale);
  ops.adafactor_update(
      {.beta1 = betas.first,
       .learning_rate = context.learning_rate,
       .weight_decay = context.weight_decay},
      scale, rounding_bits(context),
      {gradient, factors.of_rows, factors.of_columns, weight, slots.at("momentum")});
}

}  // namespace

std::vector<SlotSpec> Adafactor::slots(const ParameterRow& row) const {
  std::vector<SlotSpec> specs;
  const FactoredDims dims = factored_dims(row.shape, config_.min_dim_size_to_factor);
  if (dims.is_factored) {
    std::vector<int64_t> rows = row.shape, columns = row.shape;
    rows[static_cast<size_t>(dims.largest)] = 1;
    columns[static_cast<size_t>(dims.second)] = 1;
    specs.push_back({"second_moment_rows", rows});
    specs.push_back({"second_moment_columns", columns});
  } else {
    specs.push_back({"second_moment", row.shape});
  }
  if (config_.momentum > 0) specs.push_back({"momentum", row.shape, at::kBFloat16});
  return specs;
}

void Adafactor::update_(at::Tensor& weight, const at::Tensor& raw_gradient, NamedTensors& slots,
                        const UpdateContext& context) const {
  const double beta2 = std::min(
      config_.beta2_cap, 1 - std::pow(static_cast<double>(context.step) + 1, -kDecayExponent));
  const PartMeans means(context, weight.sizes());
  const FactoredDims dims = factored_dims(means.shape(), config_.min_dim_size_to_factor);
  if (dims.is_factored && weight.dim() == 2 && config_.momentum > 0) {
    const bool is_plain = are_plain({weight, raw_gradient, slots.at("momentum")});
    return (is_plain ? fused_update : device_update)(weight, raw_gradient, slots, dims,
                                                     {config_.momentum, beta2}, context);
  }
  const at::Tensor scale = scale_tensor(context, weight);
  const at::Tensor gradient = raw_gradient * scale;
  const at::Tensor square = gradient * gradient + kSquareEps;
  at::Tensor update;
  if (dims.is_factored) {
    at::Tensor& rows = slots.at("second_moment_rows");
    at::Tensor& columns = slots.at("second_moment_columns");
    assign(rows, rows.lerp(means.mean(square, dims.largest), 1 - beta2), scale);
    assign(columns, columns.lerp(means.mean(square, dims.second), 1 - beta2), scale);
    update = gradient * (rows / means.mean(rows, dims.second)).rsqrt() * columns.rsqrt();
  } else {
    at::Tensor& moment = slots.at("second_moment");
    assign(moment, moment.lerp(square, 1 - beta2), scale);
    update = gradient * moment.rsqrt();
  }
  if (config_.momentum > 0) {
    at::Tensor& momentum = slots.at("momentum");
    const at::Tensor next = momentum.to(at::kFloat)
                                .mul_(config_.momentum)
                                .add_(update, 1 - config_.momentum)
                                .to(at::kBFloat16);
    assign(momentum, next, scale);
    update = next.to(at::kFloat);
  }
  const at::Tensor old = weight.to(at::kFloat);
  if (context.weight_decay != 0) update = update.add(old, context.weight_decay);
  assign_weight(weight, old.sub(update, context.learning_rate), scale, context);
}

}  // namespace vit22b
