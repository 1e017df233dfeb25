#include "dist/ring.h"

#include "core/trace.h"

namespace vit22b {
namespace {

// Rows that go round together, and in which direction.
struct Stream {
  Share rows;
  int64_t direction = 1;
};

std::vector<Stream> streams_of(const Mesh& mesh, int64_t rows) {
  if (!mesh.ring.is_two_way || mesh.size(MeshAxis::kModel) < 3 || rows < 2) return {{{0, rows}, 1}};
  return {{{0, rows / 2}, 1}, {{rows / 2, rows - rows / 2}, -1}};
}

PendingPtr pass_on(Communicator& ranks, const Stream& stream, const at::Tensor& sent,
                   const at::Tensor& received, std::string_view name) {
  const int64_t k = ranks.size(), rank = ranks.rank();
  return ranks.exchange(
      {sent, around(rank + stream.direction, k), received, around(rank - stream.direction, k)},
      name);
}

}  // namespace

void ring_gather(const Mesh& mesh, const at::Tensor& own_NC,
                 const std::function<void(const RingBlock&)>& use, std::string_view name) {
  Communicator& ranks = mesh.along(MeshAxis::kModel);
  const int64_t k = ranks.size();
  const std::vector<Stream> streams = streams_of(mesh, own_NC.size(0));
  std::vector<at::Tensor> current, next(streams.size());
  for (const Stream& s : streams) current.push_back(own_NC.narrow(0, s.rows.first, s.rows.count));
  for (int64_t step = 0; step < k; ++step) {
    std::vector<PendingPtr> transfers;
    for (size_t i = 0; step + 1 < k && i < streams.size(); ++i) {
      next[i] = at::empty_like(current[i]);
      transfers.push_back(pass_on(ranks, streams[i], current[i], next[i], name));
      if (!mesh.ring.is_asynchronous) transfers.back()->wait();
    }
    for (size_t i = 0; i < streams.size(); ++i) {
      const TraceSpan span(TraceLane::kCompute, name);
      use({around(ranks.rank() - step * streams[i].direction, k), streams[i].rows, current[i],
           step == 0, step + 1 == k});
    }
    for (const PendingPtr& transfer : transfers) transfer->wait();
    current = next;
  }
}

at::Tensor ring_reduce(const Mesh& mesh, const RingShape& shape,
                       const std::function<void(const RingPart&)>& compute, std::string_view name) {
  Communicator& ranks = mesh.along(MeshAxis::kModel);
  const int64_t k = ranks.size();
  const std::vector<Stream> streams = streams_of(mesh, shape.rows);
  at::Tensor result =
      at::empty({shape.rows, shape.columns}, at::TensorOptions(shape.device).dtype(at::kFloat));
  const auto rows_of = [](const at::Tensor& t, const Stream& s) {
    return t.narrow(0, s.rows.first, s.rows.count);
  };
  const auto compute_part = [&](const Stream& s, int64_t step, const at::Tensor& sum) {
    const TraceSpan span(TraceLane::kCompute, name);
    compute({around(ranks.rank() - s.direction * (step + 1), k), s.rows, rows_of(sum, s)});
  };
  for (const Stream& s : streams) compute_part(s, 0, result);
  at::Tensor arriving = k > 1 ? at::empty_like(result) : at::Tensor();
  at::Tensor own = k > 1 ? at::empty_like(result) : at::Tensor();
  for (int64_t step = 1; step < k; ++step) {
    std::vector<PendingPtr> transfers;
    for (const Stream& s : streams) {
      transfers.push_back(pass_on(ranks, s, rows_of(result, s), rows_of(arriving, s), name));
      if (!mesh.ring.is_asynchronous) transfers.back()->wait();
    }
    for (const Stream& s : streams) compute_part(s, step, own);
    for (const PendingPtr& transfer : transfers) transfer->wait();
    at::add_out(result, arriving, own);
  }
  return result;
}

}  // namespace vit22b
