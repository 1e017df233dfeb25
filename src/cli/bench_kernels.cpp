#include <CLI/CLI.hpp>

#include "cli/bench_work.h"
#include "core/error.h"
#include "eval/vit_predictor.h"
#include "kernels/cpu/attention.h"
#include "kernels/cpu/product.h"
#include "kernels/device_ops.h"
#include "model/engine/fused_block.h"

namespace vit22b {
namespace {

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

// A linear layer's three products by libtorch, which does them on a GPU; the weight's gradient is
// summed and kept in float32.
void add_device_linear(std::vector<Work>& works, const std::string& name, int64_t rows, int64_t in,
                       int64_t out, const at::TensorOptions& options) {
  const at::Tensor x = at::randn({rows, in}, options), w = at::randn({out, in}, options),
                   dy = at::randn({rows, out}, options);
  at::Tensor dw = at::empty({out, in}, options.dtype(at::kFloat));
  const DeviceOps& ops = device_ops(options.device());
  const double flops = 2.0 * static_cast<double>(rows * in) * static_cast<double>(out);
  const std::string shape = concat(name, " ", in, "->", out);
  works.push_back({shape + " forward", flops, {}, [=] { return at::mm(x, w.t()); }});
  works.push_back({shape + " input gradient", flops, {}, [=] { return at::mm(dy, w); }});
  works.push_back({shape + " weight gradient", flops, {}, [=, &ops] {
                     ops.weight_gradient(dy, x, true, dw);
                     return dw;
                   }});
}

// What the blocks' products are measured against on a GPU: one large square product.
constexpr int64_t kSquareSide = 8192;

void run_device_gemm(const BenchFlags& flags, const ViTConfig& c, c10::Device device) {
  const at::TensorOptions options =
      at::TensorOptions(device).dtype(precision_type(flags.common.precision));
  const int64_t rows = flags.batch * c.num_tokens(), d = c.embed_dim;
  std::vector<Work> works;
  const at::Tensor a = at::randn({kSquareSide, kSquareSide}, options), b = at::randn_like(a);
  works.push_back({concat(kSquareSide, "^3"), 2.0 * std::pow(kSquareSide, 3), {}, [=] {
                     return at::mm(a, b);
                   }});
  add_device_linear(works, "in", rows, d, c.mlp_dim() + 3 * d, options);
  add_device_linear(works, "mlp out", rows, c.mlp_dim(), d, options);
  add_device_linear(works, "attention out", rows, d, d, options);
  measure(works, flags, device);
}

void run_gemm(const BenchFlags& flags) {
  const c10::Device device = torch_device(begin_command(flags.common));
  const at::NoGradGuard no_grad;
  if (device.is_cuda())
    return run_device_gemm(flags, preset_config(flags.name, flags.overrides), device);
  const ViTConfig c = preset_config(flags.name, flags.overrides);
  const int64_t rows = flags.batch * c.num_tokens(), d = c.embed_dim;
  const at::ScalarType type = precision_type(flags.common.precision);
  std::vector<Work> works;
  add_linear(works, "qkv", rows, d, 3 * d, type);
  add_linear(works, "mlp in", rows, d, c.mlp_dim(), type);
  add_linear(works, "mlp out", rows, c.mlp_dim(), d, type);
  add_linear(works, "attention out", rows, d, d, type);
  measure(works, flags, device);
}

void run_attention(const BenchFlags& flags) {
  begin_command(flags.common);
  const at::NoGradGuard no_grad;
  const ViTConfig c = preset_config(flags.name, flags.overrides);
  const int64_t b = flags.batch, t = c.num_tokens(), d = c.embed_dim, h = c.num_heads;
  const at::ScalarType type = precision_type(flags.common.precision);
  const at::Tensor qkv = at::randn({b * t, 3 * d}).to(type), lse = at::empty({b, h, t});
  at::Tensor out = at::empty({b * t, d}, type);
  const auto part = [=](int64_t i) {
    return qkv.slice(1, i * d, (i + 1) * d).view({b, t, h, d / h}).transpose(1, 2);
  };
  const cpu::Rows rows = fused::rows_of(qkv);
  const cpu::AttentionShape shape{.images = b,
                                  .queries = t,
                                  .tokens = t,
                                  .heads = h,
                                  .head_size = d / h,
                                  .rows = cpu::columns_of(rows, d),
                                  .arithmetic = cpu::best_arithmetic(rows.storage)};
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
          flags, c10::kCPU);
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
  add_kernel_bench(group, "gemm",
                   "a block's products, beside ATen's; on a GPU ATen's alone, beside 8192^3",
                   kDevice | kJson | kPrecision, run_gemm);
  add_kernel_bench(group, "attention", "attention, beside ATen's", kJson | kPrecision,
                   run_attention);
  add_kernel_bench(group, "block", "one block, fused beside the reference engine",
                   kDevice | kJson | kPrecision | kHalfWeights, run_block_bench);
}

}  // namespace vit22b
