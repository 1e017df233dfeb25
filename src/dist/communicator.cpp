#include "dist/communicator.h"

#include <cstring>

#include "core/error.h"

namespace vit22b {
namespace {

class Done : public Pending {
 public:
  bool is_done() override { return true; }
  void wait() override {}
};

class Both : public Pending {
 public:
  Both(PendingPtr first, PendingPtr second)
      : first_(std::move(first)), second_(std::move(second)) {}
  bool is_done() override { return first_->is_done() && second_->is_done(); }
  void wait() override {
    first_->wait();
    second_->wait();
  }

 private:
  PendingPtr first_, second_;
};

class SelfCommunicator : public Communicator {
 public:
  int64_t rank() const override { return 0; }
  int64_t size() const override { return 1; }
  PendingPtr send(const at::Tensor&, int64_t, std::string_view) override { return nobody(); }
  PendingPtr recv(const at::Tensor&, int64_t, std::string_view) override { return nobody(); }
  PendingPtr start(const Collective& c) override {
    if (c.input.defined() && !c.output.is_same(c.input)) c.output.copy_(c.input);
    return make_done();
  }

 private:
  [[noreturn]] static PendingPtr nobody() {
    throw InternalError("a single process has no peer to send to");
  }
};

}  // namespace

Share share_of(int64_t n, int64_t parts, int64_t index) {
  const int64_t base = n / parts, rest = n % parts;
  return {index * base + std::min(index, rest), base + (index < rest ? 1 : 0)};
}

PendingPtr make_done() {
  return std::make_shared<Done>();
}

PendingPtr Communicator::exchange(const Exchange& both, std::string_view name) {
  PendingPtr sent = send(both.sent, both.to, name);
  return std::make_shared<Both>(recv(both.received, both.from, name), std::move(sent));
}

void Communicator::barrier() {
  all_reduce_(at::zeros({1}, at::kLong), Reduction::kSum, "barrier");
}

std::string Communicator::broadcast_text(std::string text) {
  const at::Tensor length = at::full({1}, static_cast<int64_t>(text.size()), at::kLong);
  broadcast_(length, 0, "length of a result");
  text.resize(static_cast<size_t>(length.item<int64_t>()));
  broadcast_(at::from_blob(text.data(), {length.item<int64_t>()}, at::kByte), 0, "a result");
  return text;
}

std::vector<std::string> Communicator::gather_text(const std::string& text) {
  const at::Tensor lengths = at::empty({size()}, at::kLong);
  all_gather(at::full({1}, static_cast<int64_t>(text.size()), at::kLong), lengths, "text lengths");
  const int64_t longest = std::max<int64_t>(1, lengths.max().item<int64_t>());
  const at::Tensor own = at::zeros({1, longest}, at::kByte);
  std::memcpy(own.mutable_data_ptr(), text.data(), text.size());
  const at::Tensor all = at::empty({size(), longest}, at::kByte);
  all_gather(own, all, "text");
  std::vector<std::string> texts;
  for (int64_t i = 0; i < size(); ++i)
    texts.emplace_back(static_cast<const char*>(all.const_data_ptr()) + i * longest,
                       static_cast<size_t>(lengths[i].item<int64_t>()));
  return texts;
}

std::unique_ptr<Communicator> make_self_communicator() {
  return std::make_unique<SelfCommunicator>();
}

}  // namespace vit22b
