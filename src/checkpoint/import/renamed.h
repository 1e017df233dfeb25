#pragma once
#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/tensor_map.h"

namespace vit22b {

/// What becomes of a tensor of a family's on its way to a parameter.
enum class Change {
  kNone,
  kTransposed,    ///< a matrix [in, out]
  kChannelsLast,  ///< a patch's values as (row, column, channel): NaFlex's linear layers
  kQueryAndRest,  ///< [3 D, ...], rows of query, key and value: to TO `q.` and TO `kv.`
  kKeysZeroed,    ///< biases [3 D] of which the keys' third counts for nothing
};

/// A family's name for tensors, and the parameter's.
///
/// '#' stands for a block's number. A name that ends in '.' or '_' stands for all that go on from
/// there, and the rest is kept. A parameter may be of several tensors, its rows one tensor's after
/// the other's.
struct NameRule {
  std::string_view from;
  std::string_view to;  ///< "": knowingly not used
  int part = 0, parts = 1;
  Change change = Change::kNone;
};

/// Which tensors of a file are one tower's.
struct TowerNames {
  std::string_view prefix = "";  ///< of all of the tower's; taken off
  /// What the others begin with; they are knowingly not used.
  std::span<const std::string_view> others = {};
};

/// The tensors of a file under our names: what an importer's description and map look at.
class RenamedTensors {
 public:
  /// Prefixes are taken off first, one after the other, wherever a name begins with them. A name
  /// that no rule is for stays as it is.
  RenamedTensors(const TensorContainer& files, std::span<const std::string_view> prefixes,
                 std::span<const NameRule> rules, const TowerNames& tower = {});

  /// None yet: for families whose names need more than rules.
  explicit RenamedTensors(const TensorContainer& files) : place_(files.place().string()) {}

  bool contains(const std::string& name) const { return tensors_.count(name) != 0; }
  /// The parameter's shape that the tensors make; {} for one that is not there.
  std::vector<int64_t> shape(const std::string& name) const;
  /// One side of it; 0 where it has none.
  int64_t size(const std::string& name, size_t dim) const;
  /// How many blocks there are one after the other.
  int64_t depth() const;
  std::vector<std::string> names(std::string_view prefix) const;

  /// Changes that no rule says.

  /// Queries' heads that share keys and values get them each (grouped-query attention).
  void repeat_heads(int64_t num_heads);
  /// A position table whose first row is the class token's, while registers stand behind it that
  /// have none: the row becomes the token's own.
  void fold_class_position();
  /// A tensor of prefix tokens [N, D] as the class token and registers.
  void split_prefix_tokens(const std::string& name);
  /// Changes a tensor's values, which keep their shape.
  void change(const std::string& name, std::function<at::Tensor(const at::Tensor&)> change);
  /// A parameter that another's tensor makes too, with the first side of it.
  void copy(const std::string& from, const std::string& to,
            std::function<at::Tensor(const at::Tensor&)> change);
  /// Values for parameters that a family has not, by names that may hold one '#'.
  void make(const std::string& name, std::function<at::Tensor(const ParameterRow&)> values);
  /// A tensor that is knowingly not used, by our name or by the file's.
  void leave(const std::string& name);
  void leave_source(const std::string& source) { left_.insert(source); }
  /// A part of a parameter.
  ///
  /// shape   of what the piece gives
  /// throws  CheckpointError naming both tensors where it is there already
  void put(const std::string& name, TensorPiece piece, std::vector<int64_t> shape, int part = 0,
           int parts = 1);

  /// Where each row of the table comes from.
  ///
  /// throws  CheckpointError naming tensors that make a parameter of another shape, with both
  TensorMap map(const std::vector<ParameterRow>& table) const;

 private:
  struct Part {
    TensorPiece piece;
    std::vector<int64_t> shape;  ///< of what it gives
  };
  struct Tensor {
    std::map<int, Part> parts;
    int num_parts = 1;
    std::vector<Part> added = {};
  };
  void add(const std::string& source, const StoredTensor& stored, const std::string& name,
           const NameRule& rule);
  TensorRecipe recipe(const ParameterRow& row, const Tensor& tensor) const;
  TensorPiece missing_part(const ParameterRow& row, const Tensor& tensor, int part) const;

  std::string place_;
  std::map<std::string, Tensor> tensors_;
  std::map<std::string, std::function<at::Tensor(const ParameterRow&)>> made_;
  std::set<std::string> left_;
};

}  // namespace vit22b
