#include "dist/tensor_cut.h"

#include "core/checksum.h"
#include "core/error.h"

namespace vit22b {
namespace {

// The places' rows of a dim, as ranges of the whole: one for each section.
std::vector<Share> model_ranges(const TensorCut& cut, const MeshPlace& place) {
  std::vector<Share> ranges;
  int64_t begin = 0;
  for (const int64_t length : cut.sections) {
    const Share own = share_of(length, place.num_model, place.model);
    ranges.push_back({begin + own.first, own.count});
    begin += length;
  }
  return ranges;
}

// Ranges of the whole along one dim, cut by both axes where both cut it.
std::vector<Share> ranges_along(const TensorCut& cut, const MeshPlace& place, int64_t dim) {
  std::vector<Share> ranges = {{0, cut.shape[static_cast<size_t>(dim)]}};
  if (cut.model_dim == dim) ranges = model_ranges(cut, place);
  if (cut.data_dim != dim) return ranges;
  int64_t total = 0;
  for (const Share& range : ranges) total += range.count;
  const Share own = share_of(total, place.num_data, place.data);
  std::vector<Share> kept;
  int64_t at = 0;  // of the range's first row among the model axis's rows
  for (const Share& range : ranges) {
    const int64_t first = std::max(at, own.first),
                  last = std::min(at + range.count, own.first + own.count);
    if (first < last) kept.push_back({range.first + first - at, last - first});
    at += range.count;
  }
  return kept;
}

bool is_whole(const TensorCut& cut, const MeshPlace& place) {
  return (cut.model_dim < 0 || place.num_model == 1) && (cut.data_dim < 0 || place.num_data == 1);
}

// Calls act(block of the part, block of the whole) for each pair that is the same.
template <class Act>
void for_each_block(const at::Tensor& part, const at::Tensor& whole, const TensorCut& cut,
                    const MeshPlace& place, const Act& act) {
  const int64_t first_dim = cut.model_dim >= 0 ? cut.model_dim : cut.data_dim;
  const int64_t second_dim = cut.data_dim >= 0 && cut.data_dim != first_dim ? cut.data_dim : -1;
  int64_t at = 0;
  for (const Share& range : ranges_along(cut, place, first_dim)) {
    at::Tensor of_part = part.narrow(first_dim, at, range.count);
    at::Tensor of_whole = whole.narrow(first_dim, range.first, range.count);
    at += range.count;
    if (second_dim >= 0) {
      const std::vector<Share> rows = ranges_along(cut, place, second_dim);
      if (rows.empty()) continue;
      of_whole = of_whole.narrow(second_dim, rows[0].first, rows[0].count);
    }
    act(of_part, of_whole);
  }
}

}  // namespace

MeshPlace place_of(const Mesh& mesh) {
  const Communicator &data = mesh.along(MeshAxis::kData), &model = mesh.along(MeshAxis::kModel);
  return {data.rank(), data.size(), model.rank(), model.size()};
}

MeshPlace place_of(const Mesh& mesh, int64_t rank) {
  const int64_t num_model = mesh.size(MeshAxis::kModel);
  return {rank / num_model, mesh.size(MeshAxis::kData), rank % num_model, num_model};
}

bool TensorCut::is_cut(int64_t dim, MeshAxis axis) const {
  return (axis != MeshAxis::kData && model_dim == dim) ||
         (axis != MeshAxis::kModel && data_dim == dim);
}

TensorCut TensorCut::reduced_to(const std::vector<int64_t>& reduced_shape) const {
  TensorCut cut = *this;
  cut.shape = reduced_shape;
  const auto is_reduced = [&](int64_t dim) {
    return dim >= 0 && reduced_shape[static_cast<size_t>(dim)] != shape[static_cast<size_t>(dim)];
  };
  if (is_reduced(model_dim)) cut.model_dim = -1;
  if (is_reduced(data_dim)) cut.data_dim = -1;
  return cut;
}

std::vector<int64_t> part_shape(const TensorCut& cut, const MeshPlace& place) {
  std::vector<int64_t> shape = cut.shape;
  for (const int64_t dim : {cut.model_dim, cut.data_dim}) {
    if (dim < 0) continue;
    int64_t length = 0;
    for (const Share& range : ranges_along(cut, place, dim)) length += range.count;
    shape[static_cast<size_t>(dim)] = length;
  }
  return shape;
}

at::Tensor part_of(const at::Tensor& whole, const TensorCut& cut, const MeshPlace& place) {
  VIT22B_CHECK(whole.sizes() == at::IntArrayRef(cut.shape), "part_of: not the whole tensor");
  if (is_whole(cut, place)) return whole;
  at::Tensor part = at::empty(part_shape(cut, place), whole.options());
  for_each_block(
      part, whole, cut, place,
      [](const at::Tensor& of_part, const at::Tensor& of_whole) { of_part.copy_(of_whole); });
  return part;
}

void paste_part(const at::Tensor& part, const TensorCut& cut, const MeshPlace& place,
                const at::Tensor& whole) {
  if (is_whole(cut, place)) {
    whole.copy_(part);
    return;
  }
  for_each_block(
      part, whole, cut, place,
      [](const at::Tensor& of_part, const at::Tensor& of_whole) { of_whole.copy_(of_part); });
}

PartLayout part_layout(const TensorCut& cut, const MeshPlace& place) {
  if (is_whole(cut, place)) return {};
  const auto dims = static_cast<int64_t>(cut.shape.size());
  const int64_t last = dims - 1, model_dim = place.num_model > 1 ? cut.model_dim : -1,
                data_dim = place.num_data > 1 ? cut.data_dim : -1;
  const bool are_columns_cut = dims > 1 && model_dim == last && data_dim != last;
  const int64_t row_dim = std::max<int64_t>({0, data_dim, are_columns_cut ? 0 : model_dim});
  // As a matrix: the rows are row_dim and what lies inside it, up to the last dim's columns.
  int64_t outer = 1, inner = 1;
  for (int64_t dim = 0; dim < row_dim; ++dim) outer *= cut.shape[static_cast<size_t>(dim)];
  for (int64_t dim = row_dim + 1; dim < last; ++dim) inner *= cut.shape[static_cast<size_t>(dim)];
  const bool is_vector = row_dim == last;
  VIT22B_CHECK(outer == 1 && (are_columns_cut || model_dim < 0 || model_dim == row_dim),
               "part_layout: not a matrix's rows and columns");
  PartLayout layout;
  layout.whole_columns = is_vector ? 1 : cut.shape.back();
  layout.columns = is_vector ? 1 : part_shape(cut, place).back();
  if (are_columns_cut) layout.first_column = ranges_along(cut, place, last).at(0).first;
  int64_t at = 0;
  for (const Share& range : ranges_along(cut, place, row_dim)) {
    VIT22B_CHECK(layout.num_ranges < PartLayout::kMostRanges, "part_layout: too many sections");
    layout.rows[layout.num_ranges++] = {at * inner, (range.first - at) * inner};
    at += range.count;
  }
  return layout;
}

int64_t bytes_of(const NamedParts& parts) {
  int64_t bytes = 0;
  for (const auto& [name, tensor] : parts) bytes += static_cast<int64_t>(tensor.part.nbytes());
  return bytes;
}

NamedParts whole_parts(const std::map<std::string, at::Tensor, std::less<>>& tensors) {
  NamedParts parts;
  for (const auto& [name, tensor] : tensors)
    parts[name] = {{.shape = tensor.sizes().vec()}, tensor};
  return parts;
}

at::Tensor gather_whole(const TensorPart& part, int64_t to, const Mesh& mesh,
                        std::string_view name) {
  Communicator& all = mesh.along(MeshAxis::kAll);
  const MeshPlace target = place_of(mesh, to);
  // Of copies, the nearest to the receiver sends.
  const auto is_source = [&](const MeshPlace& place) {
    return (part.cut.data_dim >= 0 || place.data == target.data) &&
           (part.cut.model_dim >= 0 || place.model == target.model);
  };
  // Only what takes part comes to the host.
  const auto own_on_host = [&] { return part.part.cpu().contiguous(); };
  if (all.rank() != to) {
    if (is_source(place_of(mesh))) all.send(own_on_host(), to, name)->wait();
    return {};
  }
  at::Tensor own = own_on_host();
  if (is_whole(part.cut, target)) return own;
  at::Tensor whole = at::empty(part.cut.shape, own.options());
  for (int64_t rank = 0; rank < all.size(); ++rank) {
    const MeshPlace place = place_of(mesh, rank);
    if (!is_source(place)) continue;
    at::Tensor piece = own;
    if (rank != to) {
      piece = at::empty(part_shape(part.cut, place), own.options());
      all.recv(piece, rank, name)->wait();
    }
    paste_part(piece, part.cut, place, whole);
  }
  return whole;
}

namespace {

std::string cut_text(const std::string& name, const TensorPart& tensor, const MeshPlace& place) {
  const TensorCut& cut = tensor.cut;
  const bool fits = tensor.part.sizes() == at::IntArrayRef(part_shape(cut, place));
  return concat(name, " ", at::IntArrayRef(cut.shape), " ", tensor.part.scalar_type(), " model ",
                cut.model_dim, " of ", at::IntArrayRef(cut.sections), " data ", cut.data_dim,
                fits ? "" : concat(", of which a part has ", tensor.part.sizes()), "\n");
}

// All ranks' lists as each has the tensor at which the first of them differs.
std::string first_difference(const std::vector<std::string>& lists) {
  std::vector<std::vector<std::string>> lines;
  lines.reserve(lists.size());
  for (const std::string& list : lists) lines.push_back(split(list, '\n'));
  size_t longest = 0;
  for (const auto& of_rank : lines) longest = std::max(longest, of_rank.size());
  const auto line = [&](size_t rank, size_t i) {
    const bool is_there = i < lines[rank].size() && !lines[rank][i].empty();
    return is_there ? lines[rank][i] : std::string("nothing more");
  };
  for (size_t i = 0; i < longest; ++i)
    for (size_t rank = 1; rank < lines.size(); ++rank)
      if (line(rank, i) != line(0, i))
        return concat("rank 0 has ", line(0, i), "; rank ", rank, " has ", line(rank, i));
  return "nothing that can be told";
}

}  // namespace

void agree_on_cuts(const PartList& parts, const Mesh& mesh) {
  if (mesh.size(MeshAxis::kAll) == 1) return;
  std::string own;
  for (const auto& [name, tensor] : parts) own += cut_text(name, tensor, place_of(mesh));
  const std::vector<std::string> hashes = mesh.gather_text(hash_of_text(own), MeshAxis::kAll);
  if (std::all_of(hashes.begin(), hashes.end(),
                  [&](const std::string& hash) { return hash == hashes[0]; }))
    return;
  throw InternalError(
      "ranks cut a tensor differently: ", first_difference(mesh.gather_text(own, MeshAxis::kAll)),
      "; nothing was sent or written");
}

}  // namespace vit22b
