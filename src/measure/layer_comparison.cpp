#include "measure/layer_comparison.h"

#include <ATen/ATen.h>

#include <cmath>

#include "core/text.h"
#include "core/text_table.h"
#include "metrics/alignment.h"

namespace vit22b {
namespace {

constexpr int64_t kMostLayers = 16;  // a line of some 100 letters

void add_rows(const std::vector<at::Tensor>& layers, std::vector<std::vector<at::Tensor>>& rows) {
  rows.resize(layers.size());
  for (size_t i = 0; i < layers.size(); ++i) rows[i].push_back(layers[i]);
}

std::vector<metrics::CkaLayer> cka_layers(const std::vector<std::vector<at::Tensor>>& rows) {
  std::vector<metrics::CkaLayer> layers;
  layers.reserve(rows.size());
  for (const std::vector<at::Tensor>& parts : rows) layers.emplace_back(at::cat(parts));
  return layers;
}

std::string two_digits(double value) {
  return std::isnan(value) ? "-" : formatted("%.2f", value);
}

/// Every so many layers of a side, the last among them.
std::vector<int64_t> shown_layers(int64_t count) {
  const int64_t step = (count + kMostLayers - 1) / kMostLayers;
  std::vector<int64_t> layers;
  for (int64_t i = count - 1; i >= 0; i -= step) layers.insert(layers.begin(), i);
  return layers;
}

}  // namespace

void LayerComparison::add(const std::vector<at::Tensor>& first,
                          const std::vector<at::Tensor>& second) {
  add_rows(first, first_);
  add_rows(second, second_);
}

at::Tensor LayerComparison::cka() const {
  const std::vector<metrics::CkaLayer> first = cka_layers(first_), second = cka_layers(second_);
  std::vector<double> own;  // of the second's layers with themselves
  own.reserve(second.size());
  for (const metrics::CkaLayer& layer : second) own.push_back(layer.dependence(layer));
  at::Tensor cka = at::empty({std::ssize(first), std::ssize(second)}, at::kDouble);
  for (size_t i = 0; i < first.size(); ++i) {
    const double scale = first[i].dependence(first[i]);
    for (size_t j = 0; j < second.size(); ++j)
      cka[static_cast<int64_t>(i)][static_cast<int64_t>(j)] =
          metrics::unbiased_cka(first[i].dependence(second[j]), scale, own[j]);
  }
  return cka;
}

void tell_layers(const at::Tensor& cka, const std::string& name, Result& result) {
  ResultTable matrix{name, ResultTable::Form::kMatrix, {}, {}};
  for (const at::Tensor& row : cka.unbind(0)) {
    std::vector<Cell>& cells = matrix.rows.emplace_back();
    for (int64_t j = 0; j < row.size(0); ++j) cells.emplace_back(row[j].item<double>());
  }
  result.tables.push_back(std::move(matrix));
  const std::vector<int64_t> columns = shown_layers(cka.size(1));
  std::vector<TextTable::Align> alignment(columns.size() + 1, TextTable::Align::kRight);
  TextTable table(std::move(alignment), "  ");
  std::vector<std::string> head = {""};
  for (const int64_t j : columns) head.push_back(std::to_string(j));
  table.add(std::move(head));
  for (const int64_t i : shown_layers(cka.size(0))) {
    std::vector<std::string> cells = {std::to_string(i)};
    for (const int64_t j : columns) cells.push_back(two_digits(cka[i][j].item<double>()));
    table.add(std::move(cells));
  }
  result.lines +=
      concat(name, "  rows are blocks of the first, columns of the second\n", table.text());
}

}  // namespace vit22b
