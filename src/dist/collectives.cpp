#include "dist/collectives.h"

#include "core/error.h"

namespace vit22b {
namespace {

// Below this an all-reduce is one message to each rank: latency counts, not bandwidth.
constexpr int64_t kSmallBytes = 64 << 10;

at::Tensor rows_of_rank(const at::Tensor& whole, const Peers& peers, int64_t rank) {
  const Share share = share_of(whole.size(0), peers.size(), rank);
  return whole.narrow(0, share.first, share.count);
}

void combine_(const at::Tensor& into, const at::Tensor& other, Reduction reduction) {
  if (reduction == Reduction::kSum)
    into.add_(other);
  else
    into.copy_(at::maximum(into, other));
}

// Sums of bfloat16 keep float32 until their end.
at::ScalarType sum_type(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kBFloat16 ? at::kFloat : tensor.scalar_type();
}

// Each rank's share of the rows lies in `whole` already; the others' come round the ring.
void ring_all_gather(Peers& peers, const at::Tensor& whole) {
  const int64_t k = peers.size(), rank = peers.rank();
  for (int64_t step = 0; step + 1 < k; ++step)
    peers.exchange({{.to = around(rank + 1, k),
                     .from = around(rank - 1, k),
                     .sent = rows_of_rank(whole, peers, around(rank - step, k)),
                     .received = rows_of_rank(whole, peers, around(rank - step - 1, k))}});
}

// A part's sum begins behind its rank and travels round the ring to it.
at::Tensor ring_reduce_scatter(Peers& peers, const at::Tensor& whole, Reduction reduction) {
  const int64_t k = peers.size(), rank = peers.rank();
  const at::ScalarType type = sum_type(whole);
  at::Tensor sum = rows_of_rank(whole, peers, around(rank - 1, k)).to(type, false, /*copy=*/true);
  for (int64_t step = 1; step < k; ++step) {
    const at::Tensor own = rows_of_rank(whole, peers, around(rank - 1 - step, k));
    const at::Tensor received = at::empty(own.sizes(), own.options().dtype(type));
    peers.exchange({{.to = around(rank + 1, k),
                     .from = around(rank - 1, k),
                     .sent = sum,
                     .received = received}});
    combine_(received, own, reduction);
    sum = received;
  }
  return sum;
}

void direct_all_reduce(Peers& peers, const at::Tensor& tensor, Reduction reduction) {
  const at::Tensor own = tensor.to(sum_type(tensor), false, /*copy=*/true);
  std::vector<at::Tensor> all;
  std::vector<Peers::Exchange> messages;
  for (int64_t peer = 0; peer < peers.size(); ++peer) {
    all.push_back(peer == peers.rank() ? own : at::empty_like(own));
    if (peer != peers.rank())
      messages.push_back({.to = peer, .from = peer, .sent = own, .received = all.back()});
  }
  peers.exchange(messages);
  at::Tensor result = all[0].clone();
  for (size_t peer = 1; peer < all.size(); ++peer) combine_(result, all[peer], reduction);
  tensor.copy_(result);
}

void all_reduce(Peers& peers, const at::Tensor& tensor, Reduction reduction) {
  if (static_cast<int64_t>(tensor.nbytes()) <= kSmallBytes)
    return direct_all_reduce(peers, tensor, reduction);
  const at::Tensor flat = tensor.view({-1});
  const at::Tensor own = ring_reduce_scatter(peers, flat, reduction);
  rows_of_rank(flat, peers, peers.rank()).copy_(own);
  ring_all_gather(peers, flat);
}

void broadcast(Peers& peers, const at::Tensor& tensor, int64_t root) {
  // A binomial tree: in each round, who has the tensor sends it on.
  const int64_t k = peers.size(), place = around(peers.rank() - root, k);
  for (int64_t reach = 1; reach < k; reach *= 2) {
    if (place < reach && place + reach < k)
      peers.exchange({{.to = around(root + place + reach, k), .sent = tensor}});
    if (place >= reach && place < 2 * reach)
      peers.exchange({{.from = around(root + place - reach, k), .received = tensor}});
  }
}

}  // namespace

void run_collective(Peers& peers, const Collective& c) {
  VIT22B_CHECK(c.output.is_contiguous() && c.output.is_cpu(), "collective '", c.name,
               "': wants contiguous CPU tensors");
  switch (c.kind) {
    case Collective::Kind::kAllReduce:
      return all_reduce(peers, c.output, c.reduction);
    case Collective::Kind::kAllGather: {
      const at::Tensor own = rows_of_rank(c.output, peers, peers.rank());
      VIT22B_CHECK(own.sizes() == c.input.sizes(), "all-gather '", c.name,
                   "': a part is not its rank's share of the whole");
      own.copy_(c.input);
      return ring_all_gather(peers, c.output);
    }
    case Collective::Kind::kReduceScatter:
      VIT22B_CHECK(c.input.is_contiguous(), "reduce-scatter '", c.name, "': not contiguous");
      c.output.copy_(ring_reduce_scatter(peers, c.input, c.reduction));
      return;
    case Collective::Kind::kBroadcast:
      return broadcast(peers, c.output, c.root);
  }
}

}  // namespace vit22b
