#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dist/mesh.h"
#include "model/engine/fused_block.h"
#include "model/engine/fused_gradients.h"

// The products of a block's two passes: in one process, or over a mesh's model axis.
namespace vit22b::fused {

/// One factor of a sum of products, and the layer whose weight is the other.
struct Factor {
  at::Tensor values;
  const LinearSpec* linear;
};

/// Where a product goes.
struct Destination {
  at::Tensor whole;  ///< float32, where the product itself is wanted; else undefined
  /// Else what follows its tiles, of a product whose first row is `first_row` of the batch's.
  std::function<cpu::Epilogue(int64_t first_row)> epilogue;
};

/// A product that a pass asks for.
struct Wanted {
  const LinearSpec* linear;
  std::function<Destination()> begin;  ///< called before the product; makes its memory
  std::function<void()> done;          ///< called after it
};

/// How a block's products are made. In-projections take the residual stream's features,
/// out-projections give them; on a mesh's model axis a rank has some of these.
class Projections {
 public:
  virtual ~Projections() = default;

  /// The norm of x, and in-projections of it, in order; `kept` receives what back_in needs of it.
  virtual void in(const std::string& norm, const at::Tensor& x, SavedNorm* kept,
                  const std::vector<Wanted>& wanted) = 0;
  /// The sum of out-projections; `begin` is called as late as its memory allows.
  virtual void out(const std::vector<Factor>& factors,
                   const std::function<cpu::Epilogue()>& begin) const = 0;

  /// From a branch's gradient to those of its out-projections' inputs. Adds the gradient of the
  /// branch's bias, which is `biased`'s.
  virtual void back_out(const at::Tensor& branch_gradient, const LinearSpec& biased,
                        const std::vector<Wanted>& wanted) = 0;
  /// Inside of that, when a product is done: the gradient of its layer's weight, whose input was
  /// `input`.
  virtual void out_weight_gradient(const LinearSpec& linear, const at::Tensor& input) const = 0;
  /// From the gradients of in-projections' outputs to those of their weights, of the norm and of
  /// its input; the sum with the residual's, in float32.
  virtual at::Tensor back_in(std::vector<Factor> factors, const std::string& norm,
                             const at::Tensor& x, const SavedNorm& kept,
                             const at::Tensor& residual_gradient) const = 0;
};

/// For the ranks of a mesh; all arguments outlive it.
///
/// packed     may be null; of one process
/// gradients  of the backward pass; null for a forward pass
std::unique_ptr<Projections> make_projections(const BlockWeights& weights, const Mesh& mesh,
                                              const PackedBlock* packed,
                                              const BlockGradients* gradients);
std::unique_ptr<Projections> make_local_projections(const BlockWeights& weights,
                                                    const PackedBlock* packed,
                                                    const BlockGradients* gradients);
/// Products take the blocks of the ring as they arrive; what follows a product's tiles follows
/// those of the last block. An in-projection is one gathering ring, an out-projection one
/// scattering ring, a norm a sum a token.
std::unique_ptr<Projections> make_ring_projections(const BlockWeights& weights, const Mesh& mesh,
                                                   const BlockGradients* gradients);

}  // namespace vit22b::fused
