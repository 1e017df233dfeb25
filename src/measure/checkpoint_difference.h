#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint_path.h"
#include "core/watch.h"
#include "metrics/tensor_difference.h"

namespace vit22b {

/// What two checkpoints have otherwise: tensors, what their models compute, and classes' names.
struct CheckpointDifference {
  struct Side {
    std::string family;  ///< "" where it is not known as a model
    std::map<std::string, int64_t> dtypes;
  };
  struct Shape {
    std::string name;
    std::vector<int64_t> first, second;
  };
  struct Value {
    std::string name;
    metrics::TensorDifference of;
  };
  struct Field {
    std::string name, first, second;
  };
  /// The first class that is called otherwise; "" behind the end of a list.
  struct Label {
    int64_t num_first = 0, num_second = 0, index = 0;
    std::string first, second;
  };

  Side first, second;
  /// Why tensors go by the names that files give them; "" where they go by the model's.
  std::string reason;
  std::vector<std::string> only_first, only_second;
  std::vector<Shape> shapes;
  std::vector<Value> different;  ///< the largest first, by `relative`
  int64_t num_equal = 0;         ///< tensors
  std::vector<Field> function;   ///< and preprocessing; none where a model is not known
  std::optional<Label> labels;

  /// Whether nothing differs but how values are stored.
  bool is_equal() const;
};

/// Compares two checkpoints tensor by tensor, of which it holds one of each at a time: by our names
/// of parameters where both are read as models, else by those that the files give them.
///
/// throws  CheckpointError where files cannot be read; Stopped
CheckpointDifference compare_checkpoints(const CheckpointPath& first, const CheckpointPath& second,
                                         const Watch& watch = {});

}  // namespace vit22b
