#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <string>

#include "dist/communicator.h"

namespace vit22b {

/// The axes of the paper's mesh: `kData` splits images, `kModel` splits weights and activations;
/// `kAll` is both.
enum class MeshAxis { kData, kModel, kAll };

/// A range of a global index space.
struct Share {
  int64_t first = 0;
  int64_t count = 0;
};

/// A data × model mesh of ranks, as code outside dist/ sees it: reductions, shares and things done
/// once.
///
/// Code never asks for its rank: it reduces over a named axis, asks for its share, or does a thing
/// once.
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
  void sum_(at::Tensor& tensor, MeshAxis axis) const;
  double sum(double value, MeshAxis axis) const;
  double max(double value, MeshAxis axis) const;
  /// One rank acts; all get its result, or its error as a UserError with the same text and code.
  std::string once(const std::function<std::string()>& act) const;
  void barrier() const;

 private:
  Communicator& along(MeshAxis axis) const;

  std::unique_ptr<Communicator> data_;
  std::unique_ptr<Communicator> model_;
  std::unique_ptr<Communicator> all_;
};

}  // namespace vit22b
