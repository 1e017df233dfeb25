#pragma once
#include <filesystem>
#include <map>

#include "core/nameless_file.h"
#include "model/block_inputs.h"

namespace vit22b {

/// Block inputs in the host's memory. On the CPU they stay where they are; a GPU's are copied into
/// pinned memory and back on the stream that computes, which waits for nothing else.
class HostInputs : public BlockInputs {
 public:
  void put(int64_t block, const at::Tensor& input_BTD) override;
  at::Tensor take(int64_t block) override;

 private:
  struct Kept {
    at::Tensor host;
    c10::Device device = c10::kCPU;
  };
  std::map<int64_t, Kept> kept_;
};

/// Block inputs in a file that nobody else sees: it has no name from the start, and its room goes
/// back when the process ends.
class FileInputs : public BlockInputs {
 public:
  /// folder  where the file is made
  /// throws  UsageError where none can be made
  explicit FileInputs(const std::filesystem::path& folder);

  /// throws  UsageError when the disk has no room
  void put(int64_t block, const at::Tensor& input_BTD) override;
  void prefetch(int64_t block) override;
  at::Tensor take(int64_t block) override;

 private:
  struct Place {
    int64_t begin = 0, capacity = 0;  ///< bytes in the file
    std::vector<int64_t> shape;
    at::ScalarType dtype = at::kFloat;
    c10::Device device = c10::kCPU;
    int64_t num_bytes() const;
  };
  NamelessFile file_;
  int64_t size_ = 0;
  std::map<int64_t, Place> places_;
};

}  // namespace vit22b
