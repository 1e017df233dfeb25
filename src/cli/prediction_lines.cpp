#include "cli/prediction_lines.h"

#include <nlohmann/json.hpp>

#include "core/csv.h"
#include "core/text.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

std::string prediction_json(const Prediction& said) {
  Json json = {{"path", said.path}};
  if (!said.error.empty()) {
    json["error"] = said.error;
  } else {
    json["predictions"] = Json::array();
    for (const auto& [label, index, probability] : said.labels)
      json["predictions"].push_back(
          {{"label", label}, {"index", index}, {"probability", probability}});
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string prediction_text(const Prediction& said) {
  std::string text = said.path + "\n";
  for (const auto& [label, index, probability] : said.labels)
    text += formatted("  %6.2f %%  ", 100 * probability) + label + "\n";
  return text;
}

std::string prediction_csv(const Prediction& said) {
  if (!said.error.empty())
    return concat(csv_field(said.path), ",,,,,", csv_field(said.error), "\n");
  std::string rows;
  int64_t rank = 0;
  for (const auto& [label, index, probability] : said.labels)
    rows += concat(csv_field(said.path), ",", ++rank, ",", csv_field(label), ",", index, ",",
                   formatted("%.9g", probability), ",\n");
  return rows;
}

}  // namespace vit22b
