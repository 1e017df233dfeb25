#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/alternation.h"
#include "cli/bench.h"
#include "core/error.h"
#include "kernels/cpu/attention.h"
#include "kernels/cpu/product.h"
#include "model/engine.h"
#include "model/engine/fused_block.h"
#include "model/initialise.h"
#include "model/parameter_table.h"

namespace vit22b {
namespace {

// One line of the table: the same work done by the fused engine's kernels and by ATen.
struct Work {
  std::string name;
  double flops;
  std::function<at::Tensor()> ours, aten;
  double bound = 1e-4;
};

double relative_error(const at::Tensor& got, const at::Tensor& want) {
  return ((got - want).abs().max() / want.abs().max()).item<double>();
}

void measure(const std::vector<Work>& works, const BenchFlags& flags) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  std::string table;
  for (const Work& work : works) {
    const double error = relative_error(work.ours(), work.aten());
    if (!(error < work.bound))
      throw NumbersError("bench: ", work.name, " is off by ", error, " of the largest value, want ",
                         work.bound);
    const auto timings =
        alternate({{"ours", [&] { work.ours(); }}, {"aten", [&] { work.aten(); }}}, flags.repeats);
    const double ours = work.flops / timings[0].median / 1e9,
                 aten = work.flops / timings[1].median / 1e9;
    char line[256];
    std::snprintf(line, sizeof line,
                  "%-34s %8.3f ms  %7.1f GFLOP/s   ATen %7.1f   ratio %5.2f   best %7.1f / %.1f\n",
                  work.name.c_str(), timings[0].median * 1e3, ours, aten, ours / aten,
                  work.flops / timings[0].fastest / 1e9, work.flops / timings[1].fastest / 1e9);
    table += line;
    json.push_back({{"work", work.name},
                    {"gflops", ours},
                    {"aten_gflops", aten},
                    {"ratio", ours / aten},
                    {"relative_error", error},
                    {"seconds_median", timings[0].median},
                    {"seconds_spread", timings[0].slowest - timings[0].fastest}});
  }
  print_out(flags.common.is_json ? json.dump(1) + "\n" : table);
}

at::ScalarType compute_type(const BenchFlags& flags) {
  return flags.common.precision == "bf16" ? at::kBFloat16 : at::kFloat;
}

// Sums of products in bfloat16 are rounded once by ATen, to 2^-9 of the largest.
double product_bound(at::ScalarType type) {
  return type == at::kFloat ? 1e-4 : 4e-3;
}

// x W^T, dy W and dy^T x of one linear layer. Ours reads the float32 weight, ATen one in the
// compute type.
void add_linear(std::vector<Work>& works, const std::string& name, int64_t rows, int64_t in,
                int64_t out, at::ScalarType type) {
  const at::Tensor x = at::randn({rows, in}).to(type), w = at::randn({out, in}),
                   dy = at::randn({rows, out}).to(type), w_aten = w.to(type);
  const cpu::Arithmetic arithmetic = cpu::best_arithmetic(fused::rows_of(x).storage);
  const double bound = product_bound(type),
               flops = 2.0 * static_cast<double>(rows * in) * static_cast<double>(out);
  const auto product = [=](const at::Tensor& a, bool is_a_transposed, const at::Tensor& b,
                           bool is_b_transposed, const cpu::PackedMatrix* packed,
                           const at::Tensor& c) {
    cpu::product_into(fused::tile_of(c),
                      {{.a = fused::rows_of(a),
                        .is_a_transposed = is_a_transposed,
                        .b = fused::rows_of(b),
                        .is_b_transposed = is_b_transposed,
                        .packed = packed,
                        .k = a.size(is_a_transposed ? 0 : 1)}},
                      false, arithmetic);
    return c;
  };
  const at::Tensor y = at::empty({rows, out}), dx = at::empty({rows, in}),
                   dw = at::empty({out, in});
  at::Tensor y2 = y.to(type), dx2 = dx.to(type), dw2 = dw.to(type);
  const auto packed =
      std::make_shared<cpu::PackedMatrix>(fused::rows_of(w), true, in, out, arithmetic);
  const std::string shape = concat(name, " ", in, "->", out);
  works.push_back({shape + " forward", flops,
                   [=] { return product(x, false, w, true, nullptr, y); },
                   [=]() mutable { return at::mm_out(y2, x, w_aten.t()); }, bound});
  works.push_back({shape + " forward, packed", flops,
                   [=] { return product(x, false, w, true, packed.get(), y); },
                   [=]() mutable { return at::mm_out(y2, x, w_aten.t()); }, bound});
  works.push_back({shape + " input gradient", flops,
                   [=] { return product(dy, false, w, false, nullptr, dx); },
                   [=]() mutable { return at::mm_out(dx2, dy, w_aten); }, bound});
  works.push_back({shape + " weight gradient", flops,
                   [=] { return product(dy, true, x, false, nullptr, dw); },
                   [=]() mutable { return at::mm_out(dw2, dy.t(), x); }, bound});
}

void run_gemm(const BenchFlags& flags) {
  begin_command(flags.common);
  const at::NoGradGuard no_grad;
  const ViTConfig c = preset_config(flags.name, flags.overrides);
  const int64_t rows = flags.batch * c.num_tokens(), d = c.embed_dim;
  const at::ScalarType type = compute_type(flags);
  std::vector<Work> works;
  add_linear(works, "qkv", rows, d, 3 * d, type);
  add_linear(works, "mlp in", rows, d, c.mlp_dim(), type);
  add_linear(works, "mlp out", rows, c.mlp_dim(), d, type);
  add_linear(works, "attention out", rows, d, d, type);
  measure(works, flags);
}

void run_attention(const BenchFlags& flags) {
  begin_command(flags.common);
  const at::NoGradGuard no_grad;
  const ViTConfig c = preset_config(flags.name, flags.overrides);
  const int64_t b = flags.batch, t = c.num_tokens(), d = c.embed_dim, h = c.num_heads;
  const at::ScalarType type = compute_type(flags);
  const at::Tensor qkv = at::randn({b * t, 3 * d}).to(type), lse = at::empty({b, h, t});
  at::Tensor out = at::empty({b * t, d}, type);
  const auto part = [=](int64_t i) {
    return qkv.slice(1, i * d, (i + 1) * d).view({b, t, h, d / h}).transpose(1, 2);
  };
  const cpu::Rows rows = fused::rows_of(qkv);
  const cpu::AttentionShape shape{b, t, h, d / h, rows, {}, {}, cpu::best_arithmetic(rows.storage)};
  const double flops = 4.0 * static_cast<double>(b * t * t) * static_cast<double>(d);
  measure({{concat("attention T ", t, " K ", d / h, " B ", b), flops,
            [=] {
              attention_forward(shape, fused::rows_of(out), lse.mutable_data_ptr<float>());
              return out;
            },
            [=] {
              return at::scaled_dot_product_attention(part(0), part(1), part(2))
                  .transpose(1, 2)
                  .reshape({b * t, d});
            },
            type == at::kFloat ? 1e-4 : 2e-2}},
          flags);
}

void run_block(const BenchFlags& flags) {
  begin_command(flags.common);
  const at::NoGradGuard no_grad;
  const ViTConfig c = preset_config(flags.name, flags.overrides);
  const bool is_bf16 = compute_type(flags) == at::kBFloat16;
  NamedTensors weights;
  UnitGrads grads;
  std::set<std::string> trained;
  for (const ParameterRow& row : parameter_table(c))
    if (row.unit == block_unit(0)) {
      weights[row.local_name] = randomised_tensor(row, 0);
      grads.tensors[row.local_name] = at::zeros(row.shape);
      trained.insert(row.local_name);
    }
  const at::Tensor x =
      at::randn({flags.batch, c.num_tokens(), c.embed_dim}).to(compute_type(flags));
  const std::shared_ptr<Engine> ours = make_engine("fused"), aten = make_engine("reference");
  const auto packed = ours->prepare(c, weights, x.scalar_type());
  const auto forward = [&](const Engine& engine, const PackedWeights* ready) {
    return engine.forward(c, weights, x, ready).to(at::kFloat);
  };
  const auto both = [&](const Engine& engine) {
    std::unique_ptr<SavedActivations> saved;
    const at::Tensor y = engine.forward_saving(c, weights, x, trained, saved);
    return engine.backward(std::move(saved), y, &grads).to(at::kFloat);
  };
  ViTConfig one = c;
  one.depth = 1;
  const double flops = forward_flops(one) * static_cast<double>(flags.batch);
  measure({{"block forward", flops, [&] { return forward(*ours, packed.get()); },
            [&] { return forward(*aten, nullptr); }, is_bf16 ? 0.05 : 1e-4},
           {"block forward and backward", 3 * flops, [&] { return both(*ours); },
            [&] { return both(*aten); }, is_bf16 ? 0.05 : 1e-4}},
          flags);
}

void add_kernel_bench(CLI::App& group, const char* name, const char* help, unsigned chosen,
                      void (*run)(const BenchFlags&)) {
  auto flags = std::make_shared<BenchFlags>();
  CLI::App* command = group.add_subcommand(name, help);
  flags->add_to(*command, chosen);
  command->callback([flags, run] { run(*flags); });
}

}  // namespace

void add_bench_kernels(CLI::App& group) {
  add_kernel_bench(group, "gemm", "a block's products, beside ATen's", kJson | kPrecision,
                   run_gemm);
  add_kernel_bench(group, "attention", "attention, beside ATen's", kJson | kPrecision,
                   run_attention);
  add_kernel_bench(group, "block", "one block, fused beside the reference engine",
                   kJson | kPrecision, run_block);
}

}  // namespace vit22b
