#include "dist/mesh.h"

#include "core/error.h"
#include "dist/group.h"

namespace vit22b {
namespace {

// A result or an error as a text that ranks can send: "+result" or "-code message".
std::string pack_outcome(const std::function<std::string()>& act) {
  try {
    return "+" + act();
  } catch (const LostRank&) {
    throw;  // no message reaches everybody any more
  } catch (const UserError& e) {
    return concat("-", static_cast<int>(e.code()), " ", e.what());
  }
}

[[noreturn]] void throw_as(ExitCode code, const std::string& text) {
  switch (code) {
    case ExitCode::kUsage:
      throw UsageError(text);
    case ExitCode::kData:
      throw DataError(text);
    case ExitCode::kCheckpoint:
      throw CheckpointError(text);
    case ExitCode::kNumbers:
      throw NumbersError(text);
    case ExitCode::kStopped:
      throw Stopped(text);
    default:
      throw UserError(code, text);
  }
}

std::string open_outcome(const std::string& message) {
  if (message[0] == '+') return message.substr(1);
  const size_t space = message.find(' ');
  throw_as(static_cast<ExitCode>(std::stoi(message.substr(1, space))), message.substr(space + 1));
}

std::string shapes_of(int64_t num_ranks) {
  std::vector<std::string> shapes;
  for (int64_t data = num_ranks; data >= 1; --data)
    if (num_ranks % data == 0)
      shapes.push_back(concat("mesh.data=", data, " mesh.model=", num_ranks / data));
  return join(shapes, ", or ");
}

}  // namespace

Mesh::Mesh() : Mesh(make_self_communicator(), make_self_communicator(), make_self_communicator()) {}

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
  return share_of(n, along(axis).size(), along(axis).rank());
}

void Mesh::sum_(const at::Tensor& tensor, MeshAxis axis, std::string_view name) const {
  if (size(axis) > 1) along(axis).all_reduce_(tensor, Reduction::kSum, name);
}

void Mesh::sum_together_(const std::vector<at::Tensor>& tensors, MeshAxis axis,
                         std::string_view name) const {
  if (size(axis) == 1 || tensors.empty()) return;
  if (tensors.size() == 1) return sum_(tensors[0], axis, name);
  std::vector<at::Tensor> flat;
  flat.reserve(tensors.size());
  for (const at::Tensor& tensor : tensors) flat.push_back(tensor.reshape({-1}));
  const at::Tensor all = at::cat(flat);
  sum_(all, axis, name);
  int64_t first = 0;
  for (const at::Tensor& tensor : tensors) {
    tensor.copy_(all.narrow(0, first, tensor.numel()).view(tensor.sizes()));
    first += tensor.numel();
  }
}

void Mesh::max_(const at::Tensor& tensor, MeshAxis axis, std::string_view name) const {
  if (size(axis) > 1) along(axis).all_reduce_(tensor, Reduction::kMax, name);
}

double Mesh::sum(double value, MeshAxis axis) const {
  const at::Tensor cell = at::full({1}, value, at::kDouble);
  sum_(cell, axis);
  return cell.item<double>();
}

double Mesh::max(double value, MeshAxis axis) const {
  const at::Tensor cell = at::full({1}, value, at::kDouble);
  max_(cell, axis);
  return cell.item<double>();
}

bool Mesh::any(bool value) const {
  return max(value ? 1 : 0, MeshAxis::kAll) > 0;
}

std::string Mesh::once(const std::function<std::string()>& act) const {
  if (all_->size() == 1) return act();
  std::string message;
  if (all_->rank() == 0) message = pack_outcome(act);
  message = tell_all ? tell_all(message) : all_->broadcast_text(message);
  // Who fails leaves; not before everybody has heard why.
  if (message[0] == '-') barrier();
  return open_outcome(message);
}

void Mesh::do_once(const std::function<void()>& act) const {
  once([&] {
    act();
    return std::string();
  });
}

void Mesh::agree(const std::function<void()>& act) const {
  if (all_->size() == 1) return act();
  const std::string outcome = pack_outcome([&] {
    act();
    return std::string();
  });
  const bool has_failed = outcome[0] == '-';
  if (!any(has_failed)) return;
  const std::vector<std::string> outcomes = gather_text(outcome, MeshAxis::kAll);
  barrier();
  for (const std::string& of_rank : outcomes) open_outcome(of_rank);
}

std::vector<std::string> Mesh::gather_text(const std::string& text, MeshAxis axis) const {
  if (size(axis) == 1) return {text};
  return along(axis).gather_text(text);
}

void Mesh::barrier() const {
  if (all_->size() > 1) all_->barrier();
}

void Mesh::set_step(int64_t step) const {
  for (Communicator* ranks : {data_.get(), model_.get(), all_.get()}) ranks->set_step(step);
}

const Mesh& single_process() {
  static const Mesh kAlone;
  return kAlone;
}

MeshShape complete_mesh_shape(MeshShape shape, int64_t num_ranks) {
  if (shape.data < 0 || shape.model < 0)
    throw UsageError("mesh.data and mesh.model are counts of ranks, or 0 for what is left");
  const MeshShape wanted = shape;
  if (shape.model == 0) shape.model = shape.data > 0 ? num_ranks / shape.data : 1;
  if (shape.data == 0) shape.data = num_ranks / shape.model;
  if (shape.data * shape.model == num_ranks) return shape;
  throw UsageError("mesh.data=", wanted.data, " mesh.model=", wanted.model, " wants ",
                   shape.data * shape.model, " ranks, there ",
                   num_ranks == 1 ? concat("is one process; start it with --procs ",
                                           std::max<int64_t>(1, shape.data * shape.model),
                                           " or mpirun, or use mesh.data=1 mesh.model=1")
                                  : concat("are ", num_ranks, "; use ", shapes_of(num_ranks)));
}

Mesh make_mesh(const std::shared_ptr<Transport>& transport, MeshShape shape, double deadline_s) {
  shape = complete_mesh_shape(shape, transport->size());
  const int64_t rank = transport->rank(), data = rank / shape.model, model = rank % shape.model;
  // Channels go in pairs; every pair of ranks meets in at most one group of each kind.
  GroupOptions all{.channel = 0, .deadline_s = deadline_s},
      along_data{.channel = 2, .deadline_s = deadline_s},
      along_model{.channel = 4, .deadline_s = deadline_s};
  for (int64_t r = 0; r < transport->size(); ++r) all.members.push_back(r);
  for (int64_t d = 0; d < shape.data; ++d) along_data.members.push_back(d * shape.model + model);
  for (int64_t m = 0; m < shape.model; ++m) along_model.members.push_back(data * shape.model + m);
  return {make_group(transport, along_data), make_group(transport, along_model),
          make_group(transport, all)};
}

}  // namespace vit22b
