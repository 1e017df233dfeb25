#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <set>
#include <string>

#include "dist/mesh.h"
#include "kernels/device_ops.h"
#include "model/block_spec.h"
#include "model/gradient_sink.h"
#include "model/sequence.h"
#include "model/unit_graph.h"
#include "model/weight_store.h"

namespace vit22b {

/// A linear layer, x W^T + b in the dtype of x; the bias may be undefined. Differentiable.
using LinearFunction = at::Tensor (*)(const at::Tensor& x, const at::Tensor& weight,
                                      const at::Tensor& bias);
/// A norm over the last dim of x, in its dtype. Differentiable.
using NormFunction = at::Tensor (*)(const at::Tensor& x, const NormSpec& norm);
/// Attention of one query, [D] in heads, to every image's tokens, whose keys and values lie side by
/// side: [B, T, 2 D] → [B, D], in one dtype. Differentiable.
using QueryAttentionFunction = at::Tensor (*)(const at::Tensor& query_D,
                                              const at::Tensor& keys_values_BT2D,
                                              int64_t num_heads);
/// ATen's own.
at::Tensor plain_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);
at::Tensor plain_norm(const at::Tensor& x, const NormSpec& norm);
at::Tensor plain_query_attention(const at::Tensor& query_D, const at::Tensor& keys_values_BT2D,
                                 int64_t num_heads);

/// What the layers outside of blocks are made of: embedding, final norm, pooling, heads.
struct LayerFunctions {
  LinearFunction linear = plain_linear;
  NormFunction norm = plain_norm;
  QueryAttentionFunction query_attention = plain_query_attention;
};

/// Packed forms of a block's weights; each engine has its own.
class PackedWeights {
 public:
  virtual ~PackedWeights() = default;
};

/// A block and what it is called with beside the tokens; all of it outlives the call.
struct BlockCall {
  const BlockSpec& block;
  const NamedTensors& weights;
  const Sequence& sequence;
};

/// How a block's forward and backward passes are computed; `reference` is plain ATen. On a mesh
/// with a model axis, activations are this rank's features and weights its part of the model.
class Engine {
 public:
  virtual ~Engine() = default;
  virtual const char* name() const = 0;
  /// Packs a block's weights for forward passes in a compute type; null where that would not make
  /// them faster. The weights stay the truth: who changes them packs anew.
  virtual std::unique_ptr<PackedWeights> prepare(const BlockSpec& block,
                                                 const NamedTensors& weights,
                                                 at::ScalarType compute_type) const = 0;
  /// x_BTD → [B, T, D] without anything kept; `packed` comes from prepare, or is null.
  virtual at::Tensor forward(const BlockCall& call, const at::Tensor& x_BTD,
                             const PackedWeights* packed = nullptr) const = 0;
  /// The same, keeping what `backward` needs.
  virtual at::Tensor forward_saving(const BlockCall& call, const at::Tensor& x_BTD,
                                    const std::set<std::string>& trained,
                                    std::unique_ptr<SavedActivations>& saved) const = 0;
  /// Keeps again what `backward` needs, where the block's output is known.
  virtual void save_again(const BlockCall& call, const at::Tensor& x_BTD,
                          const std::set<std::string>& trained,
                          std::unique_ptr<SavedActivations>& saved) const {
    forward_saving(call, x_BTD, trained, saved);
  }
  /// Gradient of the block's input; the weights' gradients go to `grads` (null when none trains).
  virtual at::Tensor backward(std::unique_ptr<SavedActivations> saved,
                              const at::Tensor& output_gradient_BTD, UnitGrads* grads) const = 0;
  /// Whether products round weights to the compute type, so that matrices may lie in it.
  virtual bool rounds_weights(at::ScalarType compute_type) const {
    return compute_type == at::kBFloat16;
  }
  virtual LayerFunctions layer_functions() const { return {}; }
};

/// The engine of that name, for ranks of a mesh that outlives it, or for one process.
///
/// compute_type  of products and of all activations but the residual stream, whose dtype is that of
///               the block's input; unset: that one
/// throws        UsageError naming the engines there are
std::unique_ptr<Engine> make_engine(const std::string& name, const Mesh& mesh,
                                    std::optional<at::ScalarType> compute_type = {});
std::unique_ptr<Engine> make_engine(const std::string& name);

}  // namespace vit22b
