#include "report/result_section.h"

#include <algorithm>

#include "core/text.h"
#include "report/page.h"
#include "report/svg.h"

namespace vit22b {
namespace {

constexpr size_t kLongestId = 40;

std::string cell_colour(int64_t count, int64_t row_total, bool is_diagonal) {
  const double share =
      row_total > 0 ? static_cast<double>(count) / static_cast<double>(row_total) : 0;
  return concat("background:rgba(", is_diagonal ? "68,119,170" : "238,102,119", ",",
                short_number(std::min(1.0, is_diagonal ? 0.6 * share : 3 * share)), ")");
}

std::string class_name(const EvalResult& result, size_t i) {
  return escape_html(i < result.label_names.size() ? result.label_names[i] : std::to_string(i));
}

std::string confusion_table(const EvalResult& result) {
  constexpr size_t kLargest = 30;
  if (result.confusion.empty() || result.confusion.size() > kLargest) return "";
  std::string out =
      "<h3>Confusion</h3><table class=\"confusion\"><tr><th class=\"key\">truth \\ prediction</th>";
  for (size_t i = 0; i < result.confusion.size(); ++i)
    out += "<th>" + class_name(result, i) + "</th>";
  out += "</tr>";
  for (size_t i = 0; i < result.confusion.size(); ++i) {
    const int64_t total = result.class_counts[i];
    out += "<tr><th class=\"key\">" + class_name(result, i) + "</th>";
    for (size_t j = 0; j < result.confusion[i].size(); ++j)
      out += concat("<td style=\"", cell_colour(result.confusion[i][j], total, i == j), "\">",
                    result.confusion[i][j], "</td>");
    out += "</tr>";
  }
  return out + "</table>";
}

// The pairs that are taken for each other most, with how often.
std::string confused_pairs(const EvalResult& result) {
  constexpr size_t kShown = 8;
  if (result.most_confused.empty()) return "";
  std::string out =
      "<h3>Most confused</h3><table><tr><th class=\"key\">truth</th>"
      "<th class=\"key\">taken for</th><th>images</th><th>of the class</th></tr>";
  for (size_t i = 0; i < std::min(kShown, result.most_confused.size()); ++i) {
    const auto& [label, prediction, count] = result.most_confused[i];
    const auto truth = static_cast<size_t>(label);
    const double total =
        truth < result.class_counts.size() ? static_cast<double>(result.class_counts[truth]) : 0;
    out +=
        concat("<tr><td class=\"key\">", class_name(result, truth), "</td><td class=\"key\">",
               class_name(result, static_cast<size_t>(prediction)), "</td><td>", count, "</td><td>",
               short_number(100.0 * static_cast<double>(count) / total), " %</td></tr>");
  }
  return out + "</table>";
}

std::string base64(const std::string& bytes) {
  constexpr const char* kLetters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j)
      group = group << 8 | (i + j < bytes.size() ? static_cast<uint8_t>(bytes[i + j]) : 0);
    for (size_t j = 0; j < 4; ++j)
      text += i + j > bytes.size() ? '=' : kLetters[group >> (18 - 6 * j) & 63];
  }
  return text;
}

std::string picture(const std::string& png, const std::string& what) {
  if (png.empty()) return "";
  return "<img alt=\"" + what + "\" src=\"data:image/png;base64," + base64(png) + "\">";
}

std::string figure(const EvalResult& result, const EvalResult::Example& example) {
  const std::string truth = class_name(result, static_cast<size_t>(example.label));
  const std::string prediction = class_name(result, static_cast<size_t>(example.prediction));
  const bool is_right = example.label == example.prediction;
  return concat("<figure>", picture(example.image_png, truth),
                picture(example.attention_png, "where the model looks"), "<figcaption>",
                is_right ? truth : truth + " taken for " + prediction, ", ",
                short_number(100 * example.probability), " %<br><span class=\"hint\">",
                escape_html(shortened(example.id.substr(example.id.rfind('/') + 1), kLongestId)),
                "</span></figcaption></figure>");
}

std::string examples(const EvalResult& result, bool is_right, const char* title) {
  std::string figures;
  for (const EvalResult::Example& example : result.examples)
    if ((example.label == example.prediction) == is_right) figures += figure(result, example);
  if (figures.empty()) return "";
  return concat("<h3>", title, "</h3><div class=\"examples\">", figures, "</div>");
}

std::string worst_pictures(const EvalResult& result) {
  std::string figures;
  for (const EvalResult::Worst& worst : result.worst)
    if (!worst.said_png.empty())
      figures +=
          concat("<figure>", picture(worst.said_png, "what was said"),
                 picture(worst.truth_png, "the truth"), "<figcaption>mIoU ",
                 short_number(worst.miou), "<br><span class=\"hint\">",
                 escape_html(shortened(worst.id.substr(worst.id.rfind('/') + 1), kLongestId)),
                 "</span></figcaption></figure>");
  if (figures.empty()) return "";
  return "<h3>The lowest mIoU, beside the truth</h3><div class=\"examples\">" + figures + "</div>";
}

}  // namespace

std::string result_section(const EvalResult& result) {
  std::string out = "<h2>" + escape_html(result.name) + "</h2>";
  if (!result.made_from.empty())
    out += "<p class=\"hint\">of " + escape_html(result.made_from) + "</p>";
  out += "<table>";
  for (const auto& [key, value] : result.numbers) {
    const bool is_share = key == "top1" || key == "top5";
    out += concat("<tr><td class=\"key\">", escape_html(key), "</td><td",
                  key == "top1" ? " class=\"big\"" : "", ">",
                  is_share ? short_number(100 * value) + " %" : short_number(value), "</td></tr>");
  }
  out += "</table>" + confused_pairs(result) + confusion_table(result);
  if (!result.calibration.empty())
    out += "<div class=\"plots\">" + reliability_plot(result.calibration) + "</div>";
  for (const RecordTable& table : result.tables) out += record_table(table);
  out += worst_pictures(result);
  return out + examples(result, false, "Surest mistakes, one a pair of classes") +
         examples(result, true, "Surest right answers, one a class");
}

}  // namespace vit22b
