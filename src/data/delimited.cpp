#include "data/delimited.h"

#include "core/error.h"

namespace vit22b {
namespace {

constexpr size_t kFieldLimit = size_t{1} << 20;

}  // namespace

std::string_view without_byte_order_mark(std::string_view text) {
  constexpr std::string_view kMark = "\xEF\xBB\xBF";
  return text.starts_with(kMark) ? text.substr(kMark.size()) : text;
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  for (const std::string& line : split(without_byte_order_mark(text), '\n'))
    if (std::string said = trim(line); !said.empty()) lines.push_back(std::move(said));
  return lines;
}

DelimitedReader::DelimitedReader(std::string_view text, char separator, std::string place)
    : text_(without_byte_order_mark(text)), separator_(separator), place_(std::move(place)) {}

bool DelimitedReader::is_at_row_end() const {
  return at_ == text_.size() || text_[at_] == '\n' || text_[at_] == '\r';
}

void DelimitedReader::skip_row_end() {
  if (at_ < text_.size() && text_[at_] == '\r') ++at_;
  if (at_ < text_.size() && text_[at_] == '\n') ++at_;
  ++line_;
}

std::string DelimitedReader::quoted_field() {
  std::string value;
  for (++at_; at_ < text_.size(); ++at_) {
    if (text_[at_] == '"') {
      ++at_;
      if (at_ == text_.size() || text_[at_] != '"') return value;
    } else if (text_[at_] == '\n') {
      ++line_;
    }
    value += text_[at_];
    if (value.size() > kFieldLimit) break;
  }
  throw DataError(place_, ":", row_line_, ": a quote that opens here is not closed within ",
                  kFieldLimit, " bytes; double the quotes inside a field");
}

std::string DelimitedReader::field() {
  if (at_ < text_.size() && text_[at_] == '"') {
    std::string value = quoted_field();
    if (!is_at_row_end() && text_[at_] != separator_)
      throw DataError(place_, ":", line_, ": text after a closing quote; double the quotes inside");
    return value;
  }
  const size_t begin = at_;
  while (!is_at_row_end() && text_[at_] != separator_) ++at_;
  if (at_ - begin > kFieldLimit)
    throw DataError(place_, ":", line_, ": a field of ", at_ - begin, " bytes, want at most ",
                    kFieldLimit);
  return std::string(text_.substr(begin, at_ - begin));
}

std::optional<std::vector<std::string>> DelimitedReader::next() {
  while (at_ < text_.size() && is_at_row_end()) skip_row_end();
  if (at_ == text_.size()) return std::nullopt;
  row_line_ = line_;
  std::vector<std::string> fields = {field()};
  while (!is_at_row_end()) {
    ++at_;
    fields.push_back(field());
  }
  if (at_ < text_.size()) skip_row_end();
  return fields;
}

}  // namespace vit22b
