#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/delimited.h"

namespace vit22b {

constexpr size_t kLargestTable = size_t{1} << 30;  ///< bytes of a text that is read whole

/// A table's rows by the names of its columns.
class NamedRows {
 public:
  /// text   outlives the rows
  /// place  names the file in messages
  /// throws DataError for an empty text, or two columns of one name
  NamedRows(std::string_view text, char separator, std::string place);

  bool has(const std::string& column) const;
  /// throws  DataError for a column that is not there, naming the option that says which it is
  void want(const std::string& column, const char* option) const;
  /// The next row; false at the end.
  ///
  /// throws  DataError for one with another number of fields than the header
  bool next();
  /// Of the row, without white space at its ends.
  std::string value(const std::string& column) const;
  /// The row's file and line.
  std::string where() const;
  const std::vector<std::string>& names() const { return names_; }

 private:
  std::string place_;
  DelimitedReader reader_;
  std::vector<std::string> names_;
  std::optional<std::vector<std::string>> row_;
};

/// 0 or 1, -1 or 1 (CelebA), true or false, yes or no, in any case.
///
/// throws  DataError naming where and the column for another text
bool truth_of(const std::string& text, const std::string& where, const std::string& column);

/// The different names, sorted, and which of them each is.
struct NumberedGroups {
  std::vector<std::string> names;
  std::vector<int64_t> numbers;
};
NumberedGroups number_groups(const std::vector<std::string>& groups);

}  // namespace vit22b
