#include "checkpoint/export/onnx/weights.h"

#include "core/error.h"

namespace vit22b {
namespace {

/// Rows of a parameter, all of them where their number is not said.
struct OwnRows {
  int64_t first, count;
  std::string ending;
};

OwnRows own_rows(const ParameterRow& row, const OnnxRows& rows) {
  const int64_t all = row.shape.front();
  if (rows.count < 0 || rows.count == all) return {0, all, ""};
  return {rows.first, rows.count, concat("[", rows.first, ":", rows.first + rows.count, "]")};
}

}  // namespace

OnnxWeights::OnnxWeights(OnnxGraph& graph, const std::vector<ParameterRow>& table,
                         WholeTensor whole)
    : graph_(graph), whole_(std::move(whole)) {
  for (const ParameterRow& row : table) rows_[row.name] = &row;
}

const ParameterRow& OnnxWeights::row(const std::string& name) const {
  VIT22B_CHECK(has(name), "ONNX: the model has no parameter '", name, "'");
  return *rows_.at(name);
}

OnnxValue OnnxWeights::elements(const std::string& name, int64_t first,
                                const std::vector<int64_t>& shape, const std::string& ending) {
  const int64_t count = c10::multiply_integers(shape);
  used_[name] += count;
  const auto value = [whole = whole_, row = row(name), first, count, shape] {
    return whole(row).to(at::kFloat).reshape(-1).narrow(0, first, count).view(shape);
  };
  return graph_.tensor({name + ending, shape, OnnxType::kFloat, value, {name}});
}

OnnxValue OnnxWeights::plain(const std::string& name, const OnnxRows& rows) {
  const OwnRows own = own_rows(row(name), rows);
  std::vector<int64_t> shape = row(name).shape;
  const int64_t size = row(name).count() / shape.front();
  shape.front() = own.count;
  return elements(name, own.first * size, shape, own.ending);
}

OnnxValue OnnxWeights::transposed(const std::string& name, const OnnxRows& rows) {
  const OwnRows own = own_rows(row(name), rows);
  const std::vector<int64_t>& shape = row(name).shape;
  VIT22B_CHECK(shape.size() == 2, "ONNX: '", name, "' is no matrix");
  used_[name] += own.count * shape[1];
  const auto value = [whole = whole_, row = row(name), own] {
    return whole(row).to(at::kFloat).narrow(0, own.first, own.count).t().contiguous();
  };
  return graph_.tensor({name + own.ending, {shape[1], own.count}, OnnxType::kFloat, value, {name}});
}

void OnnxWeights::check_all_used() const {
  for (const auto& [name, row] : rows_) {
    const auto it = used_.find(name);
    VIT22B_CHECK(it != used_.end() && it->second == row->count(), "ONNX: of the parameter '", name,
                 "' not every element is in the graph once");
  }
}

}  // namespace vit22b
