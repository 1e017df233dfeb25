#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vit22b {

/// A text without the byte order mark that some programs write before it.
std::string_view without_byte_order_mark(std::string_view text);

/// The lines of a text that say something, without white space at their ends.
std::vector<std::string> lines_of(std::string_view text);

/// Reads a table of separated values row by row: RFC 4180, with quoted fields that may hold
/// separators, line breaks and doubled quotes; line ends are \n or \r\n.
class DelimitedReader {
 public:
  /// text  outlives the reader; place names the file in messages
  DelimitedReader(std::string_view text, char separator, std::string place);
  /// The next row's fields; nothing at the end. Blank lines are passed over.
  ///
  /// throws  DataError naming file and line for an open quote or a field above 1 MiB
  std::optional<std::vector<std::string>> next();
  /// The line that the last row started on, from 1.
  int64_t line() const { return row_line_; }

 private:
  std::string field();
  std::string quoted_field();
  bool is_at_row_end() const;
  void skip_row_end();

  std::string_view text_;
  char separator_;
  std::string place_;
  size_t at_ = 0;
  int64_t line_ = 1, row_line_ = 0;
};

}  // namespace vit22b
