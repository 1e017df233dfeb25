#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace vit22b {

/// How a resize computes: ATen's kernels, or PIL's integers (data/resample.h).
struct ResizeMethod {
  std::string name;
  bool is_pil = false;
};

/// One operation of the preprocessing mini-language as written: name, plain arguments, and named
/// ones.
struct TransformCall {
  std::string name;
  std::vector<std::string> arguments;
  std::vector<std::string> keys = {"image"};  ///< the fields that it acts on
  std::string out_key = "";  ///< where the only one's result goes; "" for its own place. As in
                             ///< big_vision that is "image" where inkey= stands alone

  /// Where the result for a field goes.
  const std::string& written_key(const std::string& key) const {
    return out_key.empty() ? key : out_key;
  }
  /// Whether it acts on the image alone, in its place.
  bool is_of_image() const { return keys == std::vector<std::string>{"image"} && out_key.empty(); }

  /// Argument i as a number; `what` tells a person what is wanted.
  ///
  /// throws  UsageError when it is absent or no number
  double number(size_t i, const char* what) const;
  /// Argument i as a size in pixels, 1 to 65536.
  int64_t size(size_t i, const char* what) const;
  /// True when argument i is there and a plain number.
  bool has_number(size_t i) const;
  /// The resize method at argument `first`, bilinear where absent, and "pil" behind it.
  ///
  /// throws  UsageError naming the methods that there are
  ResizeMethod method(size_t first) const;
  void expect_at_most(size_t count) const;
};

/// Parses "name", "name(1,2)", "name(1,key=\"image\")" or "name(1,keys=\"image,mask\")".
///
/// throws  UsageError for a missing parenthesis or an unknown named argument
TransformCall parse_transform_call(const std::string& text);

}  // namespace vit22b
