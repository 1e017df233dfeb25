#include "checkpoint/import/renamed.h"

#include <algorithm>
#include <numeric>

#include "checkpoint/import/name_pattern.h"
#include "core/error.h"
#include "kernels/shape.h"

namespace vit22b {
namespace {

constexpr int kThirds = 3;  // of queries, keys and values
constexpr int64_t kRgb = 3;

int64_t count_of(const std::vector<int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

// Without sides of 1, which formats have or leave away as they like.
std::vector<int64_t> squeezed(std::vector<int64_t> shape) {
  std::erase(shape, 1);
  return shape;
}

std::vector<int64_t> shape_of_rows(std::vector<int64_t> shape, int64_t rows) {
  if (!shape.empty()) shape.front() = rows;
  return shape;
}

at::Tensor channels_first(const at::Tensor& rows_DN, int64_t channels) {
  const int64_t width = rows_DN.size(0), values = rows_DN.size(1) / channels;
  return rows_DN.view({width, values, channels}).transpose(1, 2);
}

// Of a convolution that is written as [D, values of a patch] or whole; pictures have 3 channels.
bool is_same_size(const std::vector<int64_t>& a, const std::vector<int64_t>& b) {
  return squeezed(a) == squeezed(b) ||
         (a.size() == 2 && b.size() == 4 && a[0] == b[0] && count_of(a) == count_of(b));
}

}  // namespace

RenamedTensors::RenamedTensors(const TensorContainer& files,
                               std::span<const std::string_view> prefixes,
                               std::span<const NameRule> rules, const TowerNames& tower)
    : place_(files.place().string()) {
  for (const auto& [source, stored] : files.tensors()) {
    std::string_view name = source;
    if (name.starts_with(tower.prefix)) {
      name.remove_prefix(tower.prefix.size());
    } else {
      const bool is_other =
          std::any_of(tower.others.begin(), tower.others.end(),
                      [&](std::string_view other) { return name.starts_with(other); });
      if (is_other) left_.insert(source);
      if (is_other) continue;
    }
    for (const std::string_view prefix : prefixes)
      if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
    bool is_known = false;
    for (const NameRule& rule : rules) {
      const std::optional<PatternMatch> found = match_pattern(rule.from, name);
      if (!found) continue;
      is_known = true;
      if (rule.to.empty())
        left_.insert(source);
      else
        add(source, stored, filled_pattern(rule.to, *found), rule);
      break;
    }
    if (!is_known) add(source, stored, std::string(name), {});
  }
}

void RenamedTensors::add(const std::string& source, const StoredTensor& stored,
                         const std::string& name, const NameRule& rule) {
  const std::vector<int64_t>& shape = stored.shape;
  TensorPiece piece{source, shape};
  // What cannot be changed so stays as it is, and has a shape that no parameter has.
  const bool is_matrix = shape.size() == 2,
             is_in_thirds = !shape.empty() && shape[0] % kThirds == 0;
  const Change change =
      (rule.change == Change::kTransposed && !is_matrix) ||
              (rule.change == Change::kChannelsLast && (!is_matrix || shape[1] % kRgb != 0)) ||
              (rule.change == Change::kKeysZeroed && !is_in_thirds)
          ? Change::kNone
          : rule.change;
  switch (change) {
    case Change::kNone:
      return put(name, piece, shape, rule.part, rule.parts);
    case Change::kTransposed:
      piece.change = [](const at::Tensor& matrix) { return matrix.t(); };
      return put(name, piece, {shape.rbegin(), shape.rend()}, rule.part, rule.parts);
    case Change::kChannelsLast:
      piece.change = [](const at::Tensor& rows) { return channels_first(rows, kRgb); };
      return put(name, piece, shape, rule.part, rule.parts);
    case Change::kKeysZeroed:
      piece.change = [](const at::Tensor& bias) {
        at::Tensor zeroed = bias.clone();
        zeroed.chunk(kThirds)[1].zero_();
        return zeroed;
      };
      return put(name, piece, shape, rule.part, rule.parts);
    case Change::kQueryAndRest: {
      const int64_t third = shape.empty() ? 0 : shape.front() / kThirds;
      TensorPiece rest = piece;
      piece.num_rows = rest.first_row = third;
      rest.num_rows = (kThirds - 1) * third;
      const std::string suffix = name.substr(name.rfind('.') + 1),
                        to = name.substr(0, name.size() - suffix.size());
      put(to + "q." + suffix, piece, shape_of_rows(shape, third), 0, 1);
      return put(to + "kv." + suffix, rest, shape_of_rows(shape, rest.num_rows), 0, 1);
    }
  }
}

void RenamedTensors::put(const std::string& name, TensorPiece piece, std::vector<int64_t> shape,
                         int part, int parts) {
  Tensor& tensor = tensors_[name];
  const std::string source = piece.source;
  if (!tensor.parts.emplace(part, Part{std::move(piece), std::move(shape)}).second)
    throw CheckpointError(place_, ": '", source, "' and '", tensor.parts.at(part).piece.source,
                          "' are both '", name,
                          "'; the file holds two models, or names of two families");
  tensor.num_parts = parts;
}

std::vector<int64_t> RenamedTensors::shape(const std::string& name) const {
  const auto it = tensors_.find(name);
  if (it == tensors_.end()) return {};
  std::vector<int64_t> shape = it->second.parts.begin()->second.shape;
  if (it->second.num_parts == 1 || shape.empty()) return shape;
  // A part that is missing is as large as the first.
  int64_t rows = shape.front() * (it->second.num_parts - static_cast<int>(it->second.parts.size()));
  for (const auto& [index, part] : it->second.parts)
    rows += part.shape.empty() ? 0 : part.shape.front();
  shape.front() = rows;
  return shape;
}

int64_t RenamedTensors::size(const std::string& name, size_t dim) const {
  const std::vector<int64_t> sides = shape(name);
  return dim < sides.size() ? sides[dim] : 0;
}

int64_t RenamedTensors::depth() const {
  int64_t depth = 0;
  const auto has_block = [&](const char* layer) {
    return contains(concat("blocks.", depth, ".", layer));
  };
  while (has_block("attn.qkv.weight") || has_block("in_proj.weight")) ++depth;
  return depth;
}

void RenamedTensors::repeat_heads(int64_t num_heads) {
  if (num_heads < 1) return;  // the model's own check says so
  for (auto& [name, tensor] : tensors_) {
    if (tensor.num_parts != kThirds || !name.starts_with("blocks.")) continue;
    const auto query = tensor.parts.find(0);
    if (query == tensor.parts.end() || query->second.shape.empty()) continue;
    const int64_t width = query->second.shape.front(), head = width / num_heads;
    for (auto& [index, part] : tensor.parts) {
      const int64_t rows = part.shape.empty() ? 0 : part.shape.front();
      if (rows == width || rows == 0 || width % rows != 0 || head == 0 || rows % head != 0)
        continue;
      part.piece.change = [head, times = width / rows](const at::Tensor& values) {
        return values.unflatten(0, {-1, head}).repeat_interleave(times, 0).flatten(0, 1);
      };
      part.shape.front() = width;
    }
  }
}

void RenamedTensors::fold_class_position() {
  const auto table = tensors_.find("pos_embed"), token = tensors_.find("cls_token");
  if (table == tensors_.end() || token == tensors_.end()) return;
  Part& all = table->second.parts.begin()->second;
  if (all.shape.size() != 3 || all.shape[1] < 2) return;
  Part first = all;
  first.piece.change = [](const at::Tensor& rows) { return rows.narrow(1, 0, 1); };
  first.shape[1] = 1;
  token->second.added.push_back(first);
  all.piece.change = [](const at::Tensor& rows) { return rows.narrow(1, 1, rows.size(1) - 1); };
  --all.shape[1];
}

void RenamedTensors::split_prefix_tokens(const std::string& name) {
  const auto it = tensors_.find(name);
  if (it == tensors_.end()) return;
  const Part tokens = it->second.parts.begin()->second;
  tensors_.erase(it);
  if (tokens.shape.size() != 2 || tokens.shape[0] < 1) return;
  Part first = tokens, rest = tokens;
  first.piece.num_rows = rest.piece.first_row = 1;
  rest.piece.num_rows = tokens.shape[0] - 1;
  first.shape = {1, 1, tokens.shape[1]};
  rest.shape = {1, rest.piece.num_rows, tokens.shape[1]};
  tensors_["cls_token"].parts[0] = first;
  if (rest.piece.num_rows > 0) tensors_["reg_token"].parts[0] = rest;
}

std::vector<std::string> RenamedTensors::names(std::string_view prefix) const {
  std::vector<std::string> found;
  for (const auto& [name, tensor] : tensors_)
    if (name.starts_with(prefix)) found.push_back(name);
  return found;
}

void RenamedTensors::change(const std::string& name,
                            std::function<at::Tensor(const at::Tensor&)> change) {
  const auto it = tensors_.find(name);
  if (it != tensors_.end()) it->second.parts.begin()->second.piece.change = std::move(change);
}

void RenamedTensors::copy(const std::string& from, const std::string& to,
                          std::function<at::Tensor(const at::Tensor&)> change) {
  const auto it = tensors_.find(from);
  if (it == tensors_.end()) return;
  Part part = it->second.parts.begin()->second;
  part.piece.change = std::move(change);
  part.shape.resize(std::min<size_t>(part.shape.size(), 1));
  tensors_[to].parts[0] = part;
}

void RenamedTensors::make(const std::string& name,
                          std::function<at::Tensor(const ParameterRow&)> values) {
  made_[name] = std::move(values);
}

void RenamedTensors::leave(const std::string& name) {
  const auto it = tensors_.find(name);
  if (it == tensors_.end()) return;
  for (const auto& [index, part] : it->second.parts) left_.insert(part.piece.source);
  tensors_.erase(it);
}

// Biases that some of a layer's tensors have: the others' are zero, as many as theirs.
TensorPiece RenamedTensors::missing_part(const ParameterRow& row, const Tensor& tensor,
                                         int part) const {
  const std::vector<int64_t>& of_first = tensor.parts.begin()->second.shape;
  if (!row.name.ends_with(".bias") || of_first.size() != 1)
    throw CheckpointError(place_, ": of the ", tensor.num_parts, " tensors that make '", row.name,
                          "' number ", part + 1, " is missing");
  return {.make = [rows = of_first.front()] { return at::zeros({rows}); }};
}

TensorRecipe RenamedTensors::recipe(const ParameterRow& row, const Tensor& tensor) const {
  if (!is_same_size(shape(row.name), row.shape)) {
    const std::string source = tensor.parts.begin()->second.piece.source;
    const std::string what = tensor.parts.size() > 1 || tensor.num_parts > 1
                                 ? concat("'", source, "' and its like make '", row.name, "' of")
                                 : concat("'", source, "' has");
    throw CheckpointError(place_, ": tensor ", what, " shape ", shape_text(shape(row.name)),
                          ", the model has ", shape_text(row.shape),
                          "; the configuration describes another model than these weights are of");
  }
  const Part& first = tensor.parts.begin()->second;
  for (const auto& [index, part] : tensor.parts)
    if (part.shape != first.shape)
      throw CheckpointError(place_, ": tensors '", first.piece.source, "' of shape ",
                            shape_text(first.shape), " and '", part.piece.source, "' of shape ",
                            shape_text(part.shape), " cannot both be rows of '", row.name, "'");
  TensorRecipe recipe;
  for (int part = 0; part < tensor.num_parts; ++part) {
    const auto it = tensor.parts.find(part);
    recipe.pieces.push_back(it == tensor.parts.end() ? missing_part(row, tensor, part)
                                                     : it->second.piece);
  }
  for (const Part& part : tensor.added) recipe.added.push_back(part.piece);
  return recipe;
}

TensorMap RenamedTensors::map(const std::vector<ParameterRow>& table) const {
  TensorMap map;
  map.left = left_;
  for (const ParameterRow& row : table) {
    if (const auto it = tensors_.find(row.name); it != tensors_.end()) {
      map.parameters[row.name] = recipe(row, it->second);
      continue;
    }
    const auto made = std::find_if(made_.begin(), made_.end(), [&](const auto& entry) {
      return match_pattern(entry.first, row.name).has_value();
    });
    if (made != made_.end())
      map.parameters[row.name].pieces = {
          {.make = [row, values = made->second] { return values(row); }}};
    else
      map.parameters[row.name].pieces = {whole_tensor(row)};  // missing, under our name
  }
  return map;
}

}  // namespace vit22b
