#pragma once
#include <ATen/ATen.h>

#include <filesystem>
#include <map>
#include <string>

#include "checkpoint/container/safetensors_writer.h"

namespace vit22b::test {

/// Tensors of a file by name, random.
class State {
 public:
  State& add(const std::string& name, const std::vector<int64_t>& shape) {
    tensors_[name] = at::randn(shape);
    return *this;
  }
  State& remove(const std::string& name) {
    tensors_.erase(name);
    return *this;
  }
  State& layer(const std::string& name, int64_t out, int64_t in) {
    return add(name + ".weight", {out, in}).add(name + ".bias", {out});
  }
  State& norm(const std::string& name, int64_t size) {
    return add(name + ".weight", {size}).add(name + ".bias", {size});
  }
  const at::Tensor& at(const std::string& name) const { return tensors_.at(name); }
  std::filesystem::path write(const std::filesystem::path& path) const {
    FileOps ops;
    TensorList list;
    for (const auto& [name, tensor] : tensors_) list.emplace_back(name, tensor);
    write_safetensors(ops, path, list, {});
    return path;
  }

 private:
  std::map<std::string, at::Tensor> tensors_;
};

}  // namespace vit22b::test
