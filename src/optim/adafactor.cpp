#include "optim/adafactor.h"

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

void Adafactor::update_(at::Tensor& weight, const at::Tensor& gradient, NamedTensors& slots,
                        const UpdateContext& context) const {
  const double beta2 = std::min(
      config_.beta2_cap, 1 - std::pow(static_cast<double>(context.step) + 1, -kDecayExponent));
  const at::Tensor square = gradient * gradient + kSquareEps;
  const FactoredDims dims = factored_dims(weight.sizes(), config_.min_dim_size_to_factor);
  at::Tensor update;
  if (dims.is_factored) {
    at::Tensor& rows = slots.at("second_moment_rows");
    at::Tensor& columns = slots.at("second_moment_columns");
    rows.lerp_(square.mean(dims.largest, /*keepdim=*/true), 1 - beta2);
    columns.lerp_(square.mean(dims.second, /*keepdim=*/true), 1 - beta2);
    update = gradient * (rows / rows.mean(dims.second, /*keepdim=*/true)).rsqrt() * columns.rsqrt();
  } else {
    at::Tensor& moment = slots.at("second_moment");
    moment.lerp_(square, 1 - beta2);
    update = gradient * moment.rsqrt();
  }
  if (config_.momentum > 0) {
    at::Tensor& momentum = slots.at("momentum");
    momentum.copy_(
        momentum.to(at::kFloat).mul_(config_.momentum).add_(update, 1 - config_.momentum));
    update = momentum.to(at::kFloat);
  }
  if (context.weight_decay != 0) update = update.add(weight, context.weight_decay);
  weight.sub_(update, context.learning_rate);
}

}  // namespace vit22b
