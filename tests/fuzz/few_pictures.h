#pragma once
#include <ATen/ATen.h>

#include "core/error.h"
#include "data/source.h"

namespace vit22b::fuzz {

/// Three small pictures of two classes, in memory.
class FewPictures : public DataSource {
 public:
  int64_t size() const override { return 3; }
  Sample read(int64_t index) const override {
    Sample sample;
    sample.fields["image"].value = at::full({2, 2, 3}, index, at::kByte);
    sample.label = label(index);
    sample.index = index;
    sample.id = std::to_string(index);
    return sample;
  }
  int64_t label(int64_t index) const override { return index % 2; }
  const std::vector<std::string>& label_names() const override { return names_; }
  std::string fingerprint() const override { return "three pictures"; }
  SourceIdentity identity() const override { return {"names", "contents"}; }

 private:
  std::vector<std::string> names_ = {"cat", "ox"};
};

}  // namespace vit22b::fuzz
