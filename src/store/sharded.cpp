#include "store/sharded.h"

#include <algorithm>
#include <chrono>

#include "core/error.h"
#include "core/trace.h"

namespace vit22b {
namespace {

// Tensors with fewer elements are replicated: gathering them costs more than it saves.
constexpr int64_t kLeastSharded = 4096;

// The first dim that has more than one row.
int64_t row_dim(const std::vector<int64_t>& shape) {
  const auto it = std::find_if(shape.begin(), shape.end(), [](int64_t n) { return n > 1; });
  return it == shape.end() ? 0 : it - shape.begin();
}

// The fewest rows that a rank of the model axis has. A cut is the tensor's: a rank that decided by
// its own part would send pieces of another shape than the others expect.
int64_t fewest_rows(const TensorCut& cut, int64_t dim, int64_t num_model) {
  int64_t fewest = cut.shape[static_cast<size_t>(dim)];
  for (int64_t model = 0; model < num_model; ++model)
    fewest = std::min(
        fewest,
        part_shape(cut, {.model = model, .num_model = num_model}).at(static_cast<size_t>(dim)));
  return fewest;
}

TensorCut sharded_cut(const ParameterRow& row, const Mesh& mesh) {
  TensorCut cut = tensor_cut(row);
  const int64_t dim = row_dim(cut.shape);
  const bool has_rows_for_all =
      fewest_rows(cut, dim, mesh.size(MeshAxis::kModel)) >= mesh.size(MeshAxis::kData);
  if (row.count() >= kLeastSharded && has_rows_for_all) cut.data_dim = dim;
  return cut;
}

// Rows first, which the leading dims of length 1 do not change.
at::Tensor as_rows(const at::Tensor& tensor, int64_t dim) {
  return tensor.flatten(0, dim);
}

}  // namespace

ShardedStore::ShardedStore(const std::vector<ParameterRow>& table, WeightSource& source,
                           c10::Device device, const Mesh& mesh, int64_t prefetch_depth)
    : mesh_(mesh), prefetch_depth_(prefetch_depth) {
  const MeshPlace place = place_of(mesh);
  for (const ParameterRow& row : table) {
    const TensorCut cut = sharded_cut(row, mesh);
    at::Tensor part = read_part(source, row, cut, place, device);
    std::vector<Owned>& unit = units_[row.unit];
    places_[row.name] = {row.unit, unit.size()};
    unit.push_back({row.local_name, cut, std::move(part), part_shape(tensor_cut(row), place)});
  }
}

at::Tensor& ShardedStore::weight(const ParameterRow& row) {
  const auto& [unit, index] = places_.at(row.name);
  return units_.at(unit)[index].part;
}

TensorCut ShardedStore::cut(const ParameterRow& row) const {
  const auto& [unit, index] = places_.at(row.name);
  return units_.at(unit)[index].cut;
}

int64_t ShardedStore::gathered_bytes(const Unit& unit, Pass pass) const {
  std::vector<Unit> held = ahead_of(unit, pass);
  held.push_back(unit);
  int64_t bytes = 0;
  for (const Unit& one : held)
    if (const auto it = units_.find(one); it != units_.end() && is_gathered(it->second))
      for (const Owned& owned : it->second)
        if (owned.cut.data_dim >= 0)
          bytes += c10::multiply_integers(owned.gathered_shape) * owned.part.element_size();
  return bytes;
}

ShardedStore::Gathering* ShardedStore::find(const Unit& unit) {
  const auto it = std::find_if(gatherings_.begin(), gatherings_.end(),
                               [&](const Gathering& g) { return g.unit == unit; });
  return it == gatherings_.end() ? nullptr : &*it;
}

ShardedStore::Gathering& ShardedStore::start(const Unit& unit) {
  Gathering& gathering =
      gatherings_.emplace_back(Gathering{unit, std::make_shared<NamedTensors>(), {}, 0});
  for (const Owned& owned : units_[unit]) {
    at::Tensor& whole = (*gathering.tensors)[owned.local_name];
    whole = owned.part;
    const int64_t dim = owned.cut.data_dim;
    if (dim < 0 || mesh_.size(MeshAxis::kData) == 1) continue;
    whole = at::empty(owned.gathered_shape, owned.part.options());
    gathering.bytes += static_cast<int64_t>(whole.nbytes());
    gathering.works.push_back(mesh_.along(MeshAxis::kData)
                                  .start_all_gather(as_rows(owned.part, dim), as_rows(whole, dim),
                                                    unit.name() + " " + owned.local_name));
  }
  int64_t held = 0;
  for (const Gathering& g : gatherings_) held += g.bytes;
  peak_gathered_bytes_ = std::max(peak_gathered_bytes_, held);
  return gathering;
}

// Units without anything to gather do not count: the next large one starts before them.
std::vector<Unit> ShardedStore::ahead_of(const Unit& unit, Pass pass) const {
  std::vector<Unit> ahead;
  auto it = units_.find(unit);
  while (static_cast<int64_t>(ahead.size()) < prefetch_depth_ && it != units_.end()) {
    if (pass == Pass::kBackward && it == units_.begin()) break;
    pass == Pass::kForward ? ++it : --it;
    if (it != units_.end() && is_gathered(it->second)) ahead.push_back(it->first);
  }
  return ahead;
}

bool ShardedStore::is_gathered(const std::vector<Owned>& unit) {
  return std::any_of(unit.begin(), unit.end(),
                     [](const Owned& owned) { return owned.cut.data_dim >= 0; });
}

void ShardedStore::prefetch(const Unit& unit, Pass) {
  const auto held = std::count_if(gatherings_.begin(), gatherings_.end(),
                                  [](const Gathering& g) { return g.bytes > 0; });
  if (units_.count(unit) != 0 && find(unit) == nullptr && held <= prefetch_depth_) start(unit);
}

UnitLease ShardedStore::acquire(const Unit& unit, Pass pass) {
  const bool is_first = pass != last_pass_ || unit.kind == UnitKind::kEmbedding;
  last_pass_ = pass;
  const std::vector<Unit> ahead = ahead_of(unit, pass);
  // What lies behind is let go before anything new is asked for.
  gatherings_.remove_if([&](const Gathering& g) {
    const bool is_behind =
        g.unit != unit && std::find(ahead.begin(), ahead.end(), g.unit) == ahead.end();
    if (is_behind)
      for (const PendingPtr& work : g.works) work->wait();
    return is_behind;
  });
  Gathering* found = find(unit);
  Gathering& gathering = found != nullptr ? *found : start(unit);
  for (const Unit& next : ahead) prefetch(next, pass);
  const auto begin = std::chrono::steady_clock::now();
  {
    const TraceSpan span(TraceLane::kCompute, "waiting for " + unit.name());
    for (const PendingPtr& work : gathering.works) work->wait();
  }
  const double waited =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  waiting_.seconds += waited;
  if (is_first) waiting_.first_seconds += waited;
  return UnitLease(gathering.tensors);
}

void ShardedStore::begin_update() {
  for (const Gathering& gathering : gatherings_)
    for (const PendingPtr& work : gathering.works) work->wait();
  gatherings_.clear();
}

std::string ShardedStore::transfers_text() const {
  return concat("gathered units took at most ",
                human_bytes(static_cast<double>(peak_gathered_bytes_)), " at a time; waited ",
                std::llround(1e3 * waiting_.seconds), " ms for them, ",
                std::llround(1e3 * waiting_.first_seconds), " ms of it at the passes' starts");
}

}  // namespace vit22b
