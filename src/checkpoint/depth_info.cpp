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
  return dense_rows(info.head, info.output.num_scores(), model);
}

}  // namespace vit22b
