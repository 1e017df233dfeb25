#pragma once
#include <string>
#include <vector>

namespace vit22b {

/// Rows of words for people to read, in columns as wide as their widest word.
class TextTable {
 public:
  enum class Align { kLeft, kRight };

  /// columns  how each stands; further cells of a row are an error of the caller
  /// indent   stands before every row
  explicit TextTable(std::vector<Align> columns, std::string indent = "")
      : columns_(std::move(columns)), indent_(std::move(indent)) {}

  void add(std::vector<std::string> cells);
  /// A line each, two spaces between columns, and none at a line's end. Letters of UTF-8 count one
  /// column each.
  std::string text() const;

 private:
  std::vector<Align> columns_;
  std::string indent_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace vit22b
