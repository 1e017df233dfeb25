#include "dist/mesh.h"

#include "core/error.h"

namespace vit22b {

Mesh::Mesh()
    : Mesh(std::make_unique<SelfCommunicator>(), std::make_unique<SelfCommunicator>(),
           std::make_unique<SelfCommunicator>()) {}

Mesh::Mesh(std::unique_ptr<Communicator> data, std::unique_ptr<Communicator> model,
           std::unique_ptr<Communicator> all)
    : data_(std::move(data)), model_(std::move(model)), all_(std::move(all)) {}

Communicator& Mesh::along(MeshAxis axis) const {
  switch (axis) {
    case MeshAxis::kData:
      return *data_;
    case MeshAxis::kModel:
      return *model_;
    case MeshAxis::kAll:
      break;
  }
  return *all_;
}

int64_t Mesh::size(MeshAxis axis) const {
  return along(axis).size();
}

Share Mesh::share(MeshAxis axis, int64_t n) const {
  const Communicator& ranks = along(axis);
  const int64_t base = n / ranks.size(), rest = n % ranks.size(), rank = ranks.rank();
  return {rank * base + std::min(rank, rest), base + (rank < rest ? 1 : 0)};
}

void Mesh::sum_(at::Tensor& tensor, MeshAxis axis) const {
  along(axis).all_reduce_sum_(tensor);
}

double Mesh::sum(double value, MeshAxis axis) const {
  at::Tensor cell = at::full({1}, value, at::kDouble);
  along(axis).all_reduce_sum_(cell);
  return cell.item<double>();
}

double Mesh::max(double value, MeshAxis axis) const {
  at::Tensor cell = at::full({1}, value, at::kDouble);
  along(axis).all_reduce_max_(cell);
  return cell.item<double>();
}

std::string Mesh::once(const std::function<std::string()>& act) const {
  // The first letter tells success from failure; a failure carries its exit code.
  std::string message;
  if (all_->rank() == 0) {
    try {
      message = "+" + act();
    } catch (const UserError& e) {
      message = concat("-", static_cast<int>(e.code()), " ", e.what());
    }
  }
  message = all_->broadcast(message, 0);
  if (message[0] == '+') return message.substr(1);
  const size_t space = message.find(' ');
  throw UserError(static_cast<ExitCode>(std::stoi(message.substr(1, space))),
                  message.substr(space + 1));
}

void Mesh::barrier() const {
  all_->barrier();
}

}  // namespace vit22b
