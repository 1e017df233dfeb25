#pragma once
#include <memory>

#include "core/device.h"
#include "kernels/device_ops.h"
#include "model/predictor.h"
#include "model/weight_store.h"

namespace vit22b {

/// How a predictor computes.
struct PredictorOptions {
  Device device;
  std::string precision = "fp32";  ///< as precision_type reads it
  std::string engine = "fused";
  bool keeps_packed = true;    ///< faster, at the price of the blocks' weights once more
  const Mesh* mesh = nullptr;  ///< ranks that compute together; null for one process
  bool any_size = false;       ///< takes images of another size than the model's
  /// Where a checkpoint's weights live: "resident" in memory, or "streamed" from its files in every
  /// pass.
  std::string store = "resident";
};

/// A vision transformer over any weight store as a predictor. Images have the model's own size
/// unless the options let them differ.
class VitPredictor : public Predictor {
 public:
  VitPredictor(ViTConfig config, std::shared_ptr<WeightStore> store,
               const PredictorOptions& options);

  VitOutputs features(const at::Tensor& images_BCHW, const std::set<int64_t>& taps) override;
  at::Tensor logits(const at::Tensor& images_BCHW) override;
  void attend() override;
  at::Tensor input_gradient(const at::Tensor& images_BCHW, const at::Tensor& dlogits_BC) override;
  at::Tensor attention(const at::Tensor& images_BCHW, int64_t block) override;
  void observe(const at::Tensor& images_BCHW,
               const std::function<void(const ObservedBlock&)>& see) override;
  at::Tensor pool_attention(const at::Tensor& images_BCHW) override;
  std::string transfers_text() const override { return store_->transfers_text(); }

 private:
  ModelContext context() {
    return {config_,
            *engine_,
            mesh_,
            compute_type_,
            ActivationPolicy::kKeep,
            keeps_packed_ ? &packed_ : nullptr,
            /*inputs=*/nullptr,
            residual_type_};
  }

  void check_alone(const char* what) const;
  /// Of the class token and the mean side by side each half by itself.
  at::Tensor gather_pooled(const at::Tensor& pooled_BD) const;
  void check_size(const at::Tensor& images_BCHW) const;

  ViTConfig config_;
  const Mesh& mesh_;
  std::unique_ptr<Engine> engine_;
  at::ScalarType compute_type_, residual_type_;
  PackedCache packed_;
  c10::Device device_;
  std::shared_ptr<WeightStore> store_;
  bool keeps_packed_, any_size_;

  /// Logits of one shape of images: called plainly the first time, as one recorded launch from the
  /// second on, where the device can.
  struct Recorded {
    std::vector<int64_t> shape;
    std::unique_ptr<ReplayedFunction> function;
  };
  Recorded recorded_;
};

/// The device as libtorch names it.
c10::Device torch_device(const Device& device);

/// The words that name a precision: "fp32"; "bf16"; "bf16_fp32" for bf16 with the residual stream
/// in float32.
constexpr const char* kPrecisions = "fp32|bf16|bf16_fp32";

/// The dtype of products and activations.
///
/// throws  UsageError for another word
at::ScalarType precision_type(const std::string& precision);
/// The dtype of the residual stream.
///
/// throws  UsageError for another word
at::ScalarType residual_type(const std::string& precision);

}  // namespace vit22b
