#include "eval/vit_predictor.h"

#include "core/error.h"
#include "dist/ring_linear.h"
#include "kernels/attention.h"
#include "model/block.h"
#include "model/embedding.h"
#include "model/model_cut.h"
#include "model/pooling.h"

namespace vit22b {

c10::Device torch_device(const Device& device) {
  if (device.is_cpu()) return at::kCPU;
  return {device.type, static_cast<c10::DeviceIndex>(device.index)};
}

at::ScalarType precision_type(const std::string& precision) {
  if (precision == "fp32") return at::kFloat;
  if (precision == "bf16" || precision == "bf16_fp32") return at::kBFloat16;
  throw UsageError("precision '", precision, "': want fp32, bf16 or bf16_fp32");
}

at::ScalarType residual_type(const std::string& precision) {
  const at::ScalarType type = precision_type(precision);
  return precision == "bf16_fp32" ? at::kFloat : type;
}

VitPredictor::VitPredictor(ViTConfig config, std::shared_ptr<WeightStore> store,
                           const PredictorOptions& options)
    : config_(std::move(config)),
      mesh_(options.mesh != nullptr ? *options.mesh : single_process()),
      engine_(make_engine(options.engine, mesh_, precision_type(options.precision))),
      compute_type_(precision_type(options.precision)),
      residual_type_(residual_type(options.precision)),
      device_(torch_device(options.device)),
      store_(std::move(store)),
      keeps_packed_(options.keeps_packed && store_->is_keeping()),
      any_size_(options.any_size) {
  check_cut(config_, mesh_);
}

VitOutputs VitPredictor::features(const at::Tensor& images_BCHW, const std::set<int64_t>& taps) {
  const at::NoGradGuard no_grad;
  for (const int64_t tap : taps)
    if (tap < 0 || tap >= config_.depth)
      throw UsageError("block ", tap, " does not exist: the model has blocks 0 to ",
                       config_.depth - 1);
  check_size(images_BCHW);
  VitOutputs outputs = vit_forward(context(), *store_, images_BCHW.to(device_), {.taps = taps});
  outputs.tokens_BTD = gather_columns(mesh_, outputs.tokens_BTD, config_.embed_dim);
  outputs.pooled_BD = gather_pooled(outputs.pooled_BD);
  for (auto& [block, output] : outputs.blocks)
    output = gather_columns(mesh_, output, config_.embed_dim);
  if (config_.has_head())
    outputs.logits_BC = gather_columns(mesh_, outputs.logits_BC, config_.head_outputs());
  return outputs;
}

at::Tensor VitPredictor::gather_pooled(const at::Tensor& pooled_BD) const {
  if (!pooled_BD.defined()) return pooled_BD;
  std::vector<at::Tensor> parts = pooled_BD.chunk(config_.pooled_dim() / config_.embed_dim, 1);
  for (at::Tensor& part : parts) part = gather_columns(mesh_, part, config_.embed_dim);
  return at::cat(parts, 1);
}

void VitPredictor::attend() {
  const at::NoGradGuard no_grad;
  const at::Tensor nothing =
      config_.reads_words()
          ? at::zeros({1, config_.text.context_length}, at::kLong)
          : at::zeros({1, config_.in_chans, config_.img_size.height, config_.img_size.width});
  vit_forward(context(), *store_, nothing.to(device_), {});
}

void VitPredictor::check_size(const at::Tensor& images_BCHW) const {
  check_pixels(config_, images_BCHW);
  if (!any_size_) check_image_size(config_, images_BCHW);
}

void VitPredictor::check_alone(const char* what) const {
  VIT22B_CHECK(mesh_.size(MeshAxis::kModel) == 1, what, ": not on a model axis");
}

at::Tensor VitPredictor::logits(const at::Tensor& images_BCHW) {
  if (!config_.has_head())
    throw CheckpointError(
        "this checkpoint has no classifier (num_classes=0); it gives features only");
  if (config_.embeds_images())
    throw CheckpointError(
        "this checkpoint has no classifier: it embeds images beside texts; vit22b zeroshot "
        "classifies with it, features gives image_embedding");
  check_size(images_BCHW);
  const auto forward = [this](const at::Tensor& images) {
    const at::NoGradGuard no_grad;
    return gather_columns(mesh_, vit_forward(context(), *store_, images.to(device_), {}).logits_BC,
                          config_.head_outputs());
  };
  const std::vector<int64_t> shape = images_BCHW.sizes().vec();
  // Weights that may change are read through the store each time, and noise comes from the host.
  if (!keeps_packed_ || config_.plex.is_heteroscedastic() || shape != recorded_.shape) {
    if (recorded_.function == nullptr) recorded_.shape = shape;
    return forward(images_BCHW);
  }
  const at::NoGradGuard no_grad;
  const at::Tensor images = images_BCHW.to(device_);
  if (recorded_.function == nullptr)
    recorded_.function = device_ops(device_).replayed(forward, images);
  return (*recorded_.function)(images);
}

at::Tensor VitPredictor::input_gradient(const at::Tensor& images_BCHW,
                                        const at::Tensor& dlogits_BC) {
  check_alone("input_gradient");
  check_size(images_BCHW);
  const at::NoGradGuard no_grad;
  VitTape tape;
  vit_forward(context(), *store_, images_BCHW.to(device_),
              {.tape = &tape, .is_image_trained = true});
  return vit_backward(context(), *store_, tape, {.logits_BC = dlogits_BC.to(device_)}, nullptr);
}

at::Tensor VitPredictor::attention(const at::Tensor& images_BCHW, int64_t block) {
  check_alone("attention");
  check_size(images_BCHW);
  const at::NoGradGuard no_grad;
  at::Tensor weights;
  observe_attention(context(), *store_, images_BCHW.to(device_),
                    [&](int64_t index, const QueriesKeys& qk) {
                      if (index != block) return;
                      weights = attention_weights(qk.q_BHTK, qk.k_BHTK);
                      if (index >= config_.first_ensemble_block())
                        weights = weights.unflatten(0, {config_.plex.members(), -1}).mean(0);
                    });
  if (!weights.defined())
    throw UsageError("block ", block, " does not exist: the model has blocks 0 to ",
                     config_.depth - 1);
  return weights;
}

void VitPredictor::observe(const at::Tensor& images_BCHW,
                           const std::function<void(const ObservedBlock&)>& see) {
  check_alone("observing blocks");
  check_size(images_BCHW);
  const at::NoGradGuard no_grad;
  observe_blocks(context(), *store_, images_BCHW.to(device_), see);
}

at::Tensor VitPredictor::pool_attention(const at::Tensor& images_BCHW) {
  check_alone("attention");
  if (config_.pool.global_pool != "map")
    throw UsageError("the model pools by '", config_.pool.global_pool,
                     "', without a query of its own; choose a block");
  if (config_.plex.has_members())
    throw UsageError("the model's pool sees the tokens of each of ", config_.plex.members(),
                     " members; choose a block");
  const at::NoGradGuard no_grad;
  const at::Tensor tokens_BTD = features(images_BCHW, {}).tokens_BTD;
  const UnitLease lease = store_->acquire({UnitKind::kPool}, Pass::kForward);
  return map_attention(config_, {block_spec(config_, mesh_), lease.weights(), mesh_}, tokens_BTD);
}

}  // namespace vit22b
