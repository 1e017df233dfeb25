#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/duration.h"

namespace vit22b {

/// Height and width in pixels; written as one number when they are equal, else "HEIGHTxWIDTH".
struct ImageSize {
  int64_t height = 0;
  int64_t width = 0;
  bool operator==(const ImageSize&) const = default;
};

/// Sees each option of an option struct once; parser, help, `config show` and docs are visitors.
///
/// An option struct has `void fields(FieldVisitor&)` with one line an option: name, member, one
/// sentence of help.
class FieldVisitor {
 public:
  virtual ~FieldVisitor() = default;
  virtual void field(const char* name, bool& value, const char* help) = 0;
  virtual void field(const char* name, int64_t& value, const char* help) = 0;
  virtual void field(const char* name, double& value, const char* help) = 0;
  virtual void field(const char* name, std::string& value, const char* help) = 0;
  virtual void field(const char* name, std::vector<std::string>& value, const char* help) = 0;
  virtual void field(const char* name, ImageSize& value, const char* help) = 0;
  /// A duration expands to the keys NAME_steps, NAME_examples, NAME_epochs and NAME_percent, of
  /// which one may be set.
  virtual void field(const char* name, Duration& value, const char* help) = 0;
  /// A string out of `allowed`, written "a|b|c".
  virtual void choice(const char* name, std::string& value, const char* allowed,
                      const char* help) = 0;
  virtual void begin_section(const char* name) = 0;
  virtual void end_section() = 0;
};

/// Calls the visitor with every field of some options.
using Fields = std::function<void(FieldVisitor&)>;

}  // namespace vit22b
