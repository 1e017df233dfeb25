#include "checkpoint/depth_info.h"

#include "core/config.h"

namespace vit22b {

bool DepthInfo::operator==(const DepthInfo& other) const {
  const auto texts = [](const DepthInfo& info) {
    DepthInfo copy = info;
    return list_fields([&](FieldVisitor& v) {
      copy.head.fields(v);
      copy.output.fields(v);
    });
  };
  const std::vector<FieldText> a = texts(*this), b = texts(other);
  for (size_t i = 0; i < a.size(); ++i)
    if (a[i].value != b[i].value) return false;
  return is_padded_around == other.is_padded_around;
}

std::vector<ParameterRow> depth_rows(const DepthInfo& info, const ViTConfig& model) {
  std::vector<ParameterRow> rows = dense_rows(info.head, info.output.num_scores(), model);
  const std::string& output = info.output.output;
  if (output != "log" && output != "metres" && output != "relative") return rows;
  // A first score of 1: what is below 0 is cut there by losses and outputs, and would learn
  // nothing.
  for (ParameterRow& row : rows)
    if (row.local_name == "head.bias" || row.local_name == "head.2.bias")
      row.initialiser = {Initialiser::Kind::kConstant, 1};
  return rows;
}

}  // namespace vit22b
