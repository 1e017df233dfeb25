#include "core/text_table.h"

#include <algorithm>

#include "core/error.h"

namespace vit22b {
namespace {

size_t num_letters(const std::string& text) {
  const auto begins_letter = [](char byte) {
    return (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U;
  };
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), begins_letter));
}

}  // namespace

void TextTable::add(std::vector<std::string> cells) {
  VIT22B_CHECK(cells.size() <= columns_.size(), "TextTable: a row of ", cells.size(), " cells in ",
               columns_.size(), " columns");
  rows_.push_back(std::move(cells));
}

std::string TextTable::text() const {
  std::vector<size_t> widths(columns_.size(), 0);
  for (const std::vector<std::string>& row : rows_)
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], num_letters(row[i]));
  std::string text;
  for (const std::vector<std::string>& row : rows_) {
    std::string line = indent_;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string fill(widths[i] - num_letters(row[i]), ' ');
      line += (i == 0 ? "" : "  ") + (columns_[i] == Align::kLeft ? row[i] + fill : fill + row[i]);
    }
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

}  // namespace vit22b
