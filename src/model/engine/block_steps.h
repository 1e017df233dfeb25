#pragma once
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "dist/mesh.h"
#include "kernels/device_ops.h"
#include "model/engine.h"
#include "model/engine/saved_block.h"

// The fused block's two passes, and the steps that they are made of: on this process's CPU, on the
// CPUs of a mesh's model axis, or on a device.
namespace vit22b::fused {

/// One factor of a sum of products, and the layer whose weight is the other.
struct Factor {
  at::Tensor values;
  const LinearSpec* linear;
};

/// A product of an in-projection.
struct InProduct {
  const LinearSpec* linear;
  bool is_activated = false;  ///< fc1's: the MLP's activation follows
  bool is_gated = false;      ///< the product before it is its gate, which is overwritten
                              ///< where nothing is kept
  at::Tensor* pre_activation = nullptr;  ///< receives what stood before that; null: not wanted
  std::function<void(at::Tensor)> done;  ///< called with [B * T, ...] as soon as it is there
};

/// The gradient of an out-projection's input.
struct OutGradient {
  const LinearSpec* linear;
  bool is_activated = false;   ///< fc2's: the gradient is that of its pre-activation
  at::Tensor* input;           ///< of the forward pass, or what stood before the activation; the
                               ///< MLP's is freed, and may be overwritten
  at::Tensor* gate = nullptr;  ///< of a gated MLP, freed
  at::Tensor* gate_gradient = nullptr;  ///< receives the gate's
  std::function<void(at::Tensor)> done;
};

/// A branch that joins the residual stream: scale * (a sum of out-projections + bias).
struct Branch {
  const LinearSpec* biased;  ///< the layer whose bias it is
  std::string scale;         ///< "" for none
  const BlockNorm& norm;     ///< of the sum, before it joins; may be none
};

/// The steps of a block's passes over one batch. In-projections take the residual stream's
/// features, out-projections give them; on a mesh's model axis a rank has some of these.
/// Gradients of the residual stream, the norms and the weights are float32, the others what
/// products read; each step adds the gradients of its weights.
class BlockSteps {
 public:
  virtual ~BlockSteps() = default;

  /// In-projections of the norm of x, or of x where that is none, in order; `kept` receives what
  /// back_in needs of the norm.
  virtual void in(const BlockNorm& norm, const at::Tensor& x_BTD, SavedNorm* kept,
                  const std::vector<InProduct>& wanted) = 0;
  /// Attention between the two projections, [B * T, 3 D] → [B * T, D].
  virtual at::Tensor attend(const at::Tensor& qkv, AttentionTape* kept) const = 0;
  /// A norm inside a branch, of this rank's features: [N, C], whose rows may lie apart, to what
  /// products read.
  virtual at::Tensor norm(const BlockNorm& norm, const at::Tensor& x_NC) const = 0;
  /// residual + the branch whose products the factors make; `kept` receives the branch before its
  /// scale or norm where that is not null.
  virtual at::Tensor out(const std::vector<Factor>& factors, const Branch& branch,
                         const at::Tensor& residual_BTD, at::Tensor* kept) const = 0;

  /// From the gradient after a branch to those of its out-projections' inputs, in order; `kept` as
  /// `out` left it.
  virtual void back_out(const at::Tensor& gradient_ND, const Branch& branch, const at::Tensor& kept,
                        const std::vector<OutGradient>& wanted) = 0;
  /// From the attention's output to q, k and v as it read them; frees what it used.
  virtual at::Tensor back_attend(SavedBlock& saved, const at::Tensor& d_attended) = 0;
  /// Through a norm inside a branch, to its input: float32 [N, C].
  virtual at::Tensor back_norm(const BlockNorm& norm, const at::Tensor& x_NC,
                               const at::Tensor& d_y_NC) const = 0;
  /// From the gradient of the hidden units themselves, float32, to what an activated OutGradient
  /// gives.
  virtual void back_hidden(const OutGradient& wanted, const at::Tensor& d_hidden_NM) = 0;
  /// Adds the gradient of an in-projection's bias.
  virtual void add_bias_gradient(const LinearSpec& linear, const at::Tensor& d_output) const = 0;
  /// From the gradients of in-projections' outputs to that of their norm's input; the sum with the
  /// residual's.
  virtual at::Tensor back_in(std::vector<Factor> factors, const BlockNorm& norm,
                             const at::Tensor& x_BTD, const SavedNorm& kept,
                             const at::Tensor& residual_gradient_ND) = 0;
};

/// What the steps of one pass work with; all of it outlives them.
struct BlockWork {
  const BlockSpec& block;
  const NamedTensors& weights;
  const Sequence& sequence;
  at::ScalarType compute_type;
  const at::Tensor& x_BTD;
  /// Of a backward pass, vectors zeroed where they are to be overwritten; may be null there too.
  UnitGrads* grads = nullptr;
};

/// packed  may be null
std::unique_ptr<BlockSteps> make_local_steps(const BlockWork& work, const PackedWeights* packed);
/// Products take the blocks of the ring as they arrive; what follows a product follows those of the
/// last block. An in-projection is one gathering ring, an out-projection one scattering ring, a
/// norm a sum a token.
std::unique_ptr<BlockSteps> make_ring_steps(const BlockWork& work, const Mesh& mesh);
/// Fused operations between libtorch's products and attention. The parallel block's in-projections
/// are one product, and none of its activations is copied to join or part them.
std::unique_ptr<BlockSteps> make_device_steps(const BlockWork& work, const DeviceOps& ops,
                                              const PackedWeights* packed);

/// A block's matrices as its steps want them.
std::unique_ptr<PackedWeights> pack_locally(const BlockSpec& block, const NamedTensors& weights,
                                            at::ScalarType compute_type);
std::unique_ptr<PackedWeights> pack_for_device(const NamedTensors& weights,
                                               at::ScalarType compute_type);

/// What attention reads of a projection [B * T, 3 D]: queries and keys normalised over all heads
/// together where the block has such norms.
at::Tensor widely_normed(const BlockSpec& block, const BlockSteps& steps, const at::Tensor& qkv);

/// The forward pass; fills `saved` where it is not null. Without `is_output_wanted` the last
/// out-projection is left out, and the result undefined, where nothing that is saved needs it.
at::Tensor forward(const BlockSpec& block, BlockSteps& steps, const at::Tensor& x_BTD,
                   SavedBlock* saved, const std::set<std::string>& trained,
                   bool is_output_wanted = true);

/// The backward pass, float32.
at::Tensor backward(SavedBlock& saved, BlockSteps& steps, const at::Tensor& output_gradient_BTD);

}  // namespace vit22b::fused
