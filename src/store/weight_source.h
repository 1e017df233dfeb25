#pragma once
#include <ATen/core/Tensor.h>

#include "checkpoint/weights.h"

namespace vit22b {

/// Where a store takes weights from, a parameter at a time: a resident one once, a streamed one
/// again in every pass.
class WeightSource {
 public:
  virtual ~WeightSource() = default;
  /// Overwrites a parameter's values. Called by one thread at a time.
  ///
  /// target  in the row's shape, contiguous, on the CPU, float32 or bfloat16 (rounded to nearest)
  /// throws  CheckpointError naming the file and the tensor that cannot be read
  virtual void read(const ParameterRow& row, at::Tensor& target) = 0;
  /// Says that a parameter will not be read again soon: caches of files may let it go.
  virtual void release(const ParameterRow&) {}
  /// Whether read computes on all threads: then there is no waiting that could be hidden.
  virtual bool is_computing() const { return false; }
  /// Whether a parameter's values are those of another checkpoint, beside which what trains may be
  /// saved alone.
  virtual bool is_of_base(const ParameterRow&) const { return false; }
};

/// A rank's part of a parameter, float32 on a device; one without memory (kMeta) is given its shape
/// alone.
at::Tensor read_part(WeightSource& source, const ParameterRow& row, const TensorCut& cut,
                     const MeshPlace& place, c10::Device device);

/// Tensors that a function gives, as a source.
class FunctionSource : public WeightSource {
 public:
  explicit FunctionSource(WholeTensor whole) : whole_(std::move(whole)) {}
  void read(const ParameterRow& row, at::Tensor& target) override { target.copy_(whole_(row)); }

 private:
  WholeTensor whole_;
};

}  // namespace vit22b
