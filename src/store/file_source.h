#pragma once
#include "checkpoint/tensor_reader.h"
#include "store/weight_source.h"

namespace vit22b {

/// A checkpoint folder as a source of weights.
class FileSource : public WeightSource {
 public:
  FileSource(const std::filesystem::path& folder, const std::vector<ParameterRow>& table,
             const std::string& stem = "model")
      : reader_(folder, table, stem) {}
  void read(const ParameterRow& row, at::Tensor& target) override { reader_.read(row, target); }

 private:
  TensorReader reader_;
};

}  // namespace vit22b
