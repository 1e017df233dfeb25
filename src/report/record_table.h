#pragma once
#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace vit22b {

/// A list of records of a result that the report knows nothing else of.
struct RecordTable {
  struct Cell {
    std::string text;  ///< "" for null, and where the record lacks the column
    bool is_number = false;
  };
  std::string name;
  std::vector<std::string> columns;     ///< in the order in which the records name them
  std::vector<std::vector<Cell>> rows;  ///< at most 50
  size_t num_rows = 0;                  ///< of all
};

/// The arrays of objects with scalar fields in a result, and in its objects ("per_class.10"), but
/// those that a report shows in their own way.
std::vector<RecordTable> read_record_tables(const nlohmann::ordered_json& result);

/// Its rows as they are, and how many more there are.
std::string record_table(const RecordTable& table);

}  // namespace vit22b
