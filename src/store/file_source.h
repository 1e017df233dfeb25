#pragma once
#include "checkpoint/tensor_reader.h"
#include "store/weight_source.h"

namespace vit22b {

/// A checkpoint as a source of weights.
class FileSource : public WeightSource {
 public:
  FileSource(const CheckpointPath& checkpoint, const std::vector<ParameterRow>& table)
      : reader_(checkpoint, table) {
    reader_.check_all();
  }
  void read(const ParameterRow& row, at::Tensor& target) override { reader_.read(row, target); }
  void release(const ParameterRow& row) override { reader_.release(row); }

 private:
  TensorReader reader_;
};

}  // namespace vit22b
