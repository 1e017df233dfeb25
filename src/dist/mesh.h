#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "dist/communicator.h"

namespace vit22b {

class Transport;

/// The axes of the paper's mesh: `kData` splits images, `kModel` splits weights and activations;
/// `kAll` is both.
enum class MeshAxis { kData, kModel, kAll };

/// How many ranks split the images, and how many the model.
struct MeshShape {
  int64_t data = 1;
  int64_t model = 1;
};

/// How the linear layers of the model axis move their inputs and outputs.
struct RingOptions {
  bool is_asynchronous = true;  ///< transfers run beside the partial products
  bool is_two_way = false;      ///< halves go round in opposite directions
};

/// A data × model mesh of ranks, as code outside dist/ sees it: reductions, shares and things done
/// once. Rank d * model + m stands at (d, m).
///
/// Code never asks for its rank: it reduces over a named axis, asks for its share, or does a thing
/// once. All ranks call the same operations in the same order, whatever one rank's numbers, files
/// or signals are: what decides whether a rank goes on to the next operation (a norm that is not
/// finite, a bad sample, a stop) is itself reduced or agreed on first. A rank may take any time to
/// come; only one that is silent is lost.
class Mesh {
 public:
  /// One process: every reduction is the identity, every share the whole.
  Mesh();
  Mesh(std::unique_ptr<Communicator> data, std::unique_ptr<Communicator> model,
       std::unique_ptr<Communicator> all);

  int64_t size(MeshAxis axis) const;
  /// This rank's part of n things along an axis; parts differ by at most one and follow each other.
  Share share(MeshAxis axis, int64_t n) const;
  /// Adds over an axis, in place.
  void sum_(const at::Tensor& tensor, MeshAxis axis, std::string_view name = "sum") const;
  /// Adds several tensors over an axis as one message, in place.
  void sum_together_(const std::vector<at::Tensor>& tensors, MeshAxis axis,
                     std::string_view name) const;
  /// Element-wise maximum over an axis, in place.
  void max_(const at::Tensor& tensor, MeshAxis axis, std::string_view name = "maximum") const;
  double sum(double value, MeshAxis axis) const;
  double max(double value, MeshAxis axis) const;
  /// Whether it is so on any rank.
  bool any(bool value) const;
  /// One rank acts; all get its result, or its error as a UserError with the same text and code.
  std::string once(const std::function<std::string()>& act) const;
  /// The same for an act without a result.
  void do_once(const std::function<void()>& act) const;
  /// Every rank acts; a UserError of any of them is thrown on all, so that none waits for another.
  void agree(const std::function<void()>& act) const;
  /// Every rank's text along an axis.
  std::vector<std::string> gather_text(const std::string& text, MeshAxis axis) const;
  void barrier() const;

  /// The training step that errors shall name.
  void set_step(int64_t step) const;
  /// The ranks of an axis; dist/, store/ and checkpoint/ alone look at their numbers.
  Communicator& along(MeshAxis axis) const;

  RingOptions ring;  ///< how ring_linear moves
  /// Gives rank 0's text to all without the devices' own waits, which have a deadline; empty where
  /// broadcasts of the mesh may take any time.
  std::function<std::string(const std::string&)> tell_all = {};

 private:
  std::unique_ptr<Communicator> data_;
  std::unique_ptr<Communicator> model_;
  std::unique_ptr<Communicator> all_;
};

/// The mesh of one process, for what lives as long as the program.
const Mesh& single_process();

/// The mesh over a transport's ranks.
///
/// throws  UsageError when data × model is not the number of ranks, naming what would be
Mesh make_mesh(const std::shared_ptr<Transport>& transport, MeshShape shape, double deadline_s);

/// Checks a mesh's shape: 0 stands for all ranks that the other axis leaves.
///
/// throws  UsageError naming the shapes that fit
MeshShape complete_mesh_shape(MeshShape shape, int64_t num_ranks);

}  // namespace vit22b
