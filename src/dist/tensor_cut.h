#pragma once
#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

#include "dist/mesh.h"
#include "kernels/part_layout.h"

namespace vit22b {

/// Where a rank stands on a mesh.
struct MeshPlace {
  int64_t data = 0, num_data = 1;
  int64_t model = 0, num_model = 1;
};
MeshPlace place_of(const Mesh& mesh);
/// Where another rank of the same mesh stands.
MeshPlace place_of(const Mesh& mesh, int64_t rank);

/// How a tensor is cut over a mesh, the same on all ranks: one dim by the model axis, section by
/// section, and one by the data axis, in whole rows of what the model axis left; -1 for none.
struct TensorCut {
  std::vector<int64_t> shape;  ///< of the whole
  int64_t model_dim = -1;
  std::vector<int64_t> sections;  ///< lengths along model_dim; each is shared out
  int64_t data_dim = -1;

  /// Where sums along a dim want adding up over an axis to be sums of the whole tensor.
  bool is_cut(int64_t dim, MeshAxis axis) const;
  /// The cut of a tensor of the same rank that keeps some dims and has length 1 in the others.
  TensorCut reduced_to(const std::vector<int64_t>& reduced_shape) const;
};

/// This rank's part of a tensor, and how the tensor is cut.
struct TensorPart {
  TensorCut cut;
  at::Tensor part;
};
using NamedParts = std::map<std::string, TensorPart>;
/// The same in an order of their own.
using PartList = std::vector<std::pair<std::string, TensorPart>>;

/// The shape of a place's part.
std::vector<int64_t> part_shape(const TensorCut& cut, const MeshPlace& place);
/// A place's part of the whole, a copy where it is not all of it.
at::Tensor part_of(const at::Tensor& whole, const TensorCut& cut, const MeshPlace& place);
/// Writes a place's part into the whole.
void paste_part(const at::Tensor& part, const TensorCut& cut, const MeshPlace& place,
                const at::Tensor& whole);

/// Where the elements of a place's part lie in the whole.
PartLayout part_layout(const TensorCut& cut, const MeshPlace& place);

/// Bytes of this rank's parts.
int64_t bytes_of(const NamedParts& parts);

/// Whole tensors as parts of one process.
NamedParts whole_parts(const std::map<std::string, at::Tensor, std::less<>>& tensors);

/// Checks that all ranks have the same tensors, cut alike, before any of their bytes move. Every
/// rank calls it.
///
/// throws  InternalError on every rank, naming the first tensor that differs
void agree_on_cuts(const PartList& parts, const Mesh& mesh);

/// Brings the parts of a tensor together on rank `to` of all, from as few ranks as hold them: there
/// the whole on the CPU, elsewhere undefined. Every rank calls it.
at::Tensor gather_whole(const TensorPart& part, int64_t to, const Mesh& mesh,
                        std::string_view name);

}  // namespace vit22b
