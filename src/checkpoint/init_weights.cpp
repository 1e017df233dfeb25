#include "checkpoint/init_weights.h"

#include <map>
#include <set>

#include "checkpoint/init_difference.h"
#include "checkpoint/tensor_reader.h"
#include "core/error.h"
#include "kernels/resize_grid.h"
#include "model/patch_kernel.h"

namespace vit22b {
namespace {

bool has_same_grid(const ViTConfig& a, const ViTConfig& b) {
  return a.grid_height() == b.grid_height() && a.grid_width() == b.grid_width() &&
         a.tokens.class_token == b.tokens.class_token &&
         a.tokens.reg_tokens == b.tokens.reg_tokens &&
         (a.tokens.no_embed_class == b.tokens.no_embed_class || a.num_prefix_tokens() == 0);
}

std::string grid_text(const ViTConfig& c) {
  return concat(c.grid_height(), "x", c.grid_width());
}

/// The rows of a position table that are not patches': those of the class token, then registers.
struct PrefixRows {
  explicit PrefixRows(const ViTConfig& c)
      : of_class(!c.tokens.no_embed_class && c.tokens.class_token ? 1 : 0),
        of_registers(c.tokens.no_embed_class ? 0 : c.tokens.reg_tokens) {}
  int64_t count() const { return of_class + of_registers; }

  int64_t of_class, of_registers;
};

/// The table of one model for another: patches' rows move to its grid, prefix tokens keep theirs,
/// and what only the other has keeps its fresh values.
at::Tensor moved_positions(const ViTConfig& from, const at::Tensor& table_1TD, const ViTConfig& to,
                           const at::Tensor& fresh_1TD) {
  const PrefixRows old_rows(from), new_rows(to);
  at::Tensor moved = fresh_1TD.clone();
  moved.slice(1, new_rows.count())
      .copy_(resize_position_table(table_1TD[0].slice(0, old_rows.count()),
                                   {from.grid_height(), from.grid_width()},
                                   {to.grid_height(), to.grid_width()}, to.tokens.posemb_resize));
  const auto keep = [&](int64_t new_first, int64_t old_first, int64_t count) {
    moved.narrow(1, new_first, count).copy_(table_1TD.narrow(1, old_first, count));
  };
  keep(0, 0, std::min(old_rows.of_class, new_rows.of_class));
  keep(new_rows.of_class, old_rows.of_class,
       std::min(old_rows.of_registers, new_rows.of_registers));
  return moved;
}

/// A checkpoint's model with its adapters added to the weights.
ModelInfo merged(ModelInfo info) {
  info.config.adapters = {};
  return info;
}

/// What becomes of a parameter.
enum class Origin { kFresh, kTaken, kMoved, kResized };

}  // namespace

class InitWeights::Start {
 public:
  Start(const CheckpointPath& checkpoint, const ModelInfo& model, const InitChoice& choice)
      : source_(merged(read_model_info(checkpoint))),
        reader_(checkpoint, parameter_table(source_.config)),
        model_(model),
        choice_(choice) {
    for (const ParameterRow& row : parameter_table(source_.config)) rows_.emplace(row.name, row);
    check_patterns();
    check_init_difference(source_.config, model.config, choice, checkpoint.path().string());
    is_head_new_ = has_other_classes();
  }

  std::vector<std::string> notes() const {
    std::vector<std::string> notes, fresh, left;
    int64_t values = 0;
    std::set<std::string> taken;
    for (const ParameterRow& row : parameter_table(model_.config)) {
      const Origin origin = origin_of(row);
      if (origin == Origin::kFresh) {
        fresh.push_back(row.name);
        continue;
      }
      taken.insert(row.name);
      values += row.count();
      if (origin == Origin::kMoved) notes.push_back(moving_note());
      if (origin == Origin::kResized)
        for (std::string& note : kernel_notes()) notes.push_back(std::move(note));
    }
    if (is_head_new_ && source_.config.has_head() && model_.config.has_head())
      notes.insert(notes.begin(), head_note());
    notes.insert(notes.begin(), concat("taken: ", taken.size(), " tensors, ", values, " values"));
    for (const auto& [name, row] : rows_)
      if (taken.count(name) == 0) left.push_back(name);
    if (!fresh.empty()) notes.push_back("made new: " + grouped_names(fresh));
    if (!left.empty()) notes.push_back("left: " + grouped_names(left));
    return notes;
  }

  at::Tensor value(const ParameterRow& row, const at::Tensor& fresh) const {
    const Origin origin = origin_of(row);
    if (origin == Origin::kFresh) return fresh;
    const ViTConfig &from = source_.config, &to = model_.config;
    at::Tensor value = reader_.whole(rows_.at(row.name));
    if (origin == Origin::kMoved) return moved_positions(from, value, to, fresh);
    if (origin == Origin::kResized)
      return kernel_for_channels(kernel_for_patch(value, to.patch_size), to.in_chans);
    return value;
  }

  bool takes(const ParameterRow& row) const { return origin_of(row) == Origin::kTaken; }
  void read(const ParameterRow& row, at::Tensor& target) const {
    reader_.read(rows_.at(row.name), target);
  }
  void release(const ParameterRow& row) const { reader_.release(rows_.at(row.name)); }

 private:
  /// A pattern that names nothing is a slip, after which weights would stay that were to go.
  void check_patterns() const {
    std::vector<std::string> names;
    for (const auto& [name, row] : rows_) names.push_back(name);
    for (const ParameterRow& row : parameter_table(model_.config)) names.push_back(row.name);
    const auto check = [&](const char* key, const std::vector<std::string>& patterns) {
      for (const std::string& pattern : patterns)
        if (std::none_of(names.begin(), names.end(),
                         [&](const auto& name) { return matches_pattern(name, pattern); }))
          throw UsageError(key, ": '", pattern, "' matches nothing of the model or the checkpoint",
                           did_you_mean(pattern, names));
    };
    check("init_skip", choice_.skip);
    ViTConfig config = model_.config;
    for (const FieldText& field : list_fields([&](FieldVisitor& v) { config.fields(v); }))
      names.push_back(field.key);
    check("init_allow", choice_.allow);
  }

  bool has_same_number() const { return source_.config.num_classes == model_.config.num_classes; }

  bool has_other_classes() const {
    if (matches_any("head.weight", choice_.allow) && has_same_number()) return false;
    const auto &ours = model_.label_names, &theirs = source_.label_names;
    return !has_same_number() || (!ours.empty() && !theirs.empty() && ours != theirs);
  }

  std::string head_note() const {
    const int64_t ours = model_.config.num_classes, theirs = source_.config.num_classes;
    return ours == theirs
               ? concat("head: fresh for ", ours, " classes of other names than the ",
                        "checkpoint's")
               : concat("head: fresh for ", ours, " classes, the checkpoint has ", theirs);
  }

  Origin origin_of(const ParameterRow& row) const {
    const auto it = rows_.find(row.name);
    const bool is_head = row.unit.kind == UnitKind::kHead;
    if (it == rows_.end() || matches_any(row.name, choice_.skip) || (is_head && is_head_new_))
      return Origin::kFresh;
    const std::vector<int64_t>&theirs = it->second.shape, &ours = row.shape;
    if (row.group == ParameterGroup::kPosition) {
      if (theirs.at(2) != ours.at(2)) return Origin::kFresh;
      return has_same_grid(source_.config, model_.config) ? Origin::kTaken : Origin::kMoved;
    }
    if (theirs == ours) return Origin::kTaken;
    const bool is_kernel = row.name == "patch_embed.proj.weight" && theirs.at(0) == ours.at(0);
    return is_kernel ? Origin::kResized : Origin::kFresh;
  }

  std::string moving_note() const {
    return concat("position table: moved from ", grid_text(source_.config), " to ",
                  grid_text(model_.config));
  }

  std::vector<std::string> kernel_notes() const {
    const ViTConfig &from = source_.config, &to = model_.config;
    std::vector<std::string> notes;
    if (from.patch_size != to.patch_size)
      notes.push_back(concat("patch kernel: resized from ", from.patch_size, " to ", to.patch_size,
                             " pixels, by the pseudo-inverse"));
    if (from.in_chans != to.in_chans)
      notes.push_back(concat("patch kernel: for ", to.in_chans, " channels, ",
                             to.in_chans == 1 ? "the sum" : "repeats", " of the checkpoint's ",
                             from.in_chans));
    return notes;
  }

  ModelInfo source_;
  TensorReader reader_;
  ModelInfo model_;
  InitChoice choice_;
  std::map<std::string, ParameterRow> rows_;  ///< the checkpoint's
  bool is_head_new_ = false;
};

InitWeights::InitWeights(const CheckpointPath& checkpoint, const ModelInfo& model,
                         const InitChoice& choice)
    : start_(std::make_unique<Start>(checkpoint, model, choice)) {}

InitWeights::~InitWeights() = default;
InitWeights::InitWeights(InitWeights&&) noexcept = default;

std::vector<std::string> InitWeights::notes() const {
  return start_->notes();
}

bool InitWeights::takes(const ParameterRow& row) const {
  return start_->takes(row);
}

void InitWeights::read(const ParameterRow& row, at::Tensor& target) const {
  start_->read(row, target);
}

void InitWeights::release(const ParameterRow& row) const {
  start_->release(row);
}

at::Tensor InitWeights::value(const ParameterRow& row, const at::Tensor& fresh) const {
  return start_->value(row, fresh);
}

}  // namespace vit22b
