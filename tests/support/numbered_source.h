#pragma once
#include <ATen/ATen.h>

#include <set>
#include <string>
#include <vector>

#include "core/error.h"
#include "data/source.h"

namespace vit22b::test {

/// Samples whose only pixel is their index; those in `bad` cannot be read.
class NumberedSource : public DataSource {
 public:
  explicit NumberedSource(int64_t size, std::set<int64_t> bad = {})
      : size_(size), bad_(std::move(bad)) {}
  int64_t size() const override { return size_; }
  Sample read(int64_t index) const override {
    if (bad_.count(index) != 0) throw DataError("file ", index, " is damaged");
    Sample sample;
    sample.fields["image"].value = at::full({1, 1, 1}, index, at::kByte);
    sample.label = index;
    sample.id = std::to_string(index);
    return sample;
  }
  int64_t label(int64_t index) const override { return index; }
  const std::vector<std::string>& label_names() const override { return names_; }
  std::string fingerprint() const override { return "numbered"; }

 private:
  int64_t size_;
  std::set<int64_t> bad_;
  std::vector<std::string> names_;
};

}  // namespace vit22b::test
