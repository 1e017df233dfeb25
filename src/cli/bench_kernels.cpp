#include <c10/core/impl/VirtualGuardImpl.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/alternation.h"
#include "cli/bench.h"
#include "core/error.h"
#include "eval/vit_predictor.h"
#include "kernels/cpu/attention.h"
#include "kernels/cpu/product.h"
#include "kernels/device_ops.h"
#include "model/engine.h"
#include "model/engine/fused_block.h"
#include "model/initialise.h"
#include "model/parameter_table.h"
#include "optim/optimizer.h"

namespace vit22b {
namespace {

// One line of the table: the same work done by the fused engine's kernels and by ATen.
struct Work {
  std::string name;
  double flops;
  std::function<at::Tensor()> ours, aten;  // one of them may be empty
  double bound = 1e-4;
};

// Runs work to its end, on a device too.
std::function<void()> whole(const std::function<at::Tensor()>& work, c10::Device device) {
  return [&work, device] {
    if (work) work();
    if (device.is_cuda())
      c10::impl::VirtualGuardImpl(device.type()).synchronizeDevice(device.index());
  };
}

double relative_error(const at::Tensor& got, const at::Tensor& want) {
  return ((got - want).abs().max() / want.abs().max()).item<double>();
}

void measure(const std::vector<Work>& works, const BenchFlags& flags, c10::Device device) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  std::string table;
  for (const Work& work : works) {
    nlohmann::ordered_json row = {{"work", work.name}};
    if (work.ours && work.aten) {
      const double error = relative_error(work.ours(), work.aten());
      if (!(error < work.bound))
        throw NumbersError("bench: ", work.name, " is off by ", error,
                           " of the largest value, want ", work.bound);
      row["relative_error"] = error;
    }
    const auto timings = alternate(
        {{"ours", whole(work.ours, device)}, {"aten", whole(work.aten, device)}}, flags.repeats);
    const auto rate = [&](double seconds) { return work.flops / seconds / 1e9; };
    char line[256];
    std::snprintf(line, sizeof line, "%-42s", work.name.c_str());
    table += line;
    if (work.ours) {
      const Timing& t = timings[0];
      std::snprintf(line, sizeof line, " %9.3f ms  %8.1f GFLOP/s (best %.1f)", t.median * 1e3,
                    rate(t.median), rate(t.fastest));
      table += line;
      row["gflops"] = rate(t.median);
      row["seconds_median"] = t.median;
      row["seconds_spread"] = t.slowest - t.fastest;
    }
    if (work.aten) {
      const Timing& t = timings[1];
      std::snprintf(line, sizeof line, "   ATen %8.1f (best %.1f)", rate(t.median),
                    rate(t.fastest));
      table += line;
      row["aten_gflops"] = rate(t.median);
    }
    if (work.ours && work.aten) {
      row["ratio"] = timings[1].median / timings[0].median;
      std::snprintf(line, sizeof line, "   ratio %5.2f", timings[1].median / timings[0].median);
      table += line;
    }
    table += "\n";
    json.push_back(row);
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

// A linear layer's three products by libtorch, which does them on a GPU; the weight's gradient is
// summed and kept in float32.
void add_device_linear(std::vector<Work>& works, const std::string& name, int64_t rows, int64_t in,
                       int64_t out, const at::TensorOptions& options) {
  const at::Tensor x = at::randn({rows, in}, options), w = at::randn({out, in}, options),
                   dy = at::randn({rows, out}, options);
  const at::Tensor dw = at::empty({out, in}, options.dtype(at::kFloat));
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
  const at::TensorOptions options = at::TensorOptions(device).dtype(compute_type(flags));
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
  const at::ScalarType type = compute_type(flags);
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
          flags, c10::kCPU);
}

// One block with its gradients and its optimizer, in both engines.
class BenchBlock {
 public:
  BenchBlock(const ViTConfig& config, const BenchFlags& flags, c10::Device device)
      : config_(config), type_(compute_type(flags)) {
    optim_.name = "adafactor";
    optimizer_ = make_optimizer(optim_);
    for (const ParameterRow& row : parameter_table(config_)) {
      if (row.unit != block_unit(0)) continue;
      const std::string& name = row.local_name;
      const bool is_half = flags.has_half_weights && row.shape.size() > 1;
      weights_[name] = randomised_tensor(row, 0).to(device, is_half ? at::kBFloat16 : at::kFloat);
      grads_.tensors[name] = at::zeros(row.shape, device);
      for (const SlotSpec& slot : optimizer_->slots(row))
        slots_[name][slot.name] =
            at::zeros(slot.shape, at::TensorOptions(device).dtype(slot.dtype));
      trained_.insert(name);
    }
    x_BTD_ = at::randn({flags.batch, config_.num_tokens(), config_.embed_dim}).to(device, type_);
    ours_ = make_engine("fused");
    aten_ = make_engine("reference");
    packed_ = ours_->prepare(config_, weights_, type_);
  }

  std::vector<Work> works() {
    ViTConfig one = config_, two = config_;
    one.depth = 1;
    two.depth = 2;
    const double flops =
        (forward_flops(two) - forward_flops(one)) * static_cast<double>(x_BTD_.size(0));
    const double bound = type_ == at::kFloat ? 1e-4 : 0.05;
    const auto forward = [this](const Engine& engine, const PackedWeights* ready) {
      return engine.forward(config_, weights_, x_BTD_, ready).to(at::kFloat);
    };
    std::vector<Work> all = {
        {"block forward", flops, [=, this] { return forward(*ours_, packed_.get()); },
         [=, this] { return forward(*aten_, nullptr); }, bound},
        {"block forward and backward", 3 * flops, [this] { return both(*ours_); },
         [this] { return both(*aten_); }, bound},
        {"block forward, backward and update", 3 * flops, [this] { return step(*ours_); },
         [this] { return step(*aten_); }, bound}};
    if (!x_BTD_.is_cuda()) return all;
    replayed_ = device_ops(x_BTD_.device())
                    .replayed(
                        [=, this](const at::Tensor& x) {
                          return ours_->forward(config_, weights_, x, packed_.get());
                        },
                        x_BTD_);
    all.push_back({"block forward, replayed", flops,
                   [this] { return (*replayed_)(x_BTD_).to(at::kFloat); },
                   [=, this] { return forward(*aten_, nullptr); }, bound});
    return all;
  }

 private:
  at::Tensor both(const Engine& engine) {
    std::unique_ptr<SavedActivations> saved;
    const at::Tensor y = engine.forward_saving(config_, weights_, x_BTD_, trained_, saved);
    return engine.backward(std::move(saved), y, &grads_).to(at::kFloat);
  }

  // The rate is 0: all is computed and written, and the next run finds the same weights.
  at::Tensor step(const Engine& engine) {
    at::Tensor result = both(engine);
    for (auto& [name, weight] : weights_)
      optimizer_->update_(weight, grads_.tensors.at(name), slots_.at(name), {.name = name});
    return result;
  }

  const ViTConfig config_;
  const at::ScalarType type_;
  OptimConfig optim_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<Engine> ours_, aten_;
  std::unique_ptr<PackedWeights> packed_;
  std::unique_ptr<ReplayedFunction> replayed_;
  NamedTensors weights_;
  UnitGrads grads_;
  std::map<std::string, NamedTensors> slots_;
  std::set<std::string> trained_;
  at::Tensor x_BTD_;
};

void run_block(const BenchFlags& flags) {
  const c10::Device device = torch_device(begin_command(flags.common));
  const at::NoGradGuard no_grad;
  BenchBlock block(preset_config(flags.name, flags.overrides), flags, device);
  measure(block.works(), flags, device);
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
                   kDevice | kJson | kPrecision | kHalfWeights, run_block);
}

}  // namespace vit22b
