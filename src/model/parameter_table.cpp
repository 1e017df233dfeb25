#include "model/parameter_table.h"

#include <cmath>
#include <functional>
#include <numeric>

#include "core/text.h"
#include "model/block_spec.h"

namespace vit22b {
namespace {

constexpr double kMlpBiasStddev = 1e-6;   // big_vision vit.py MlpBlock
constexpr double kWordStddev = 0.02;      // big_vision text_transformer.py, open_clip
constexpr double kFirstTemperature = 10;  // LiT: logits = 10 cosine + bias
constexpr double kFirstJointBias = -10;   // SigLIP
constexpr double kRegisterStddev = 1e-6;  // timm vision_transformer.py

Initialiser constant(double value) {
  return {Initialiser::Kind::kConstant, value};
}
Initialiser normal(double stddev) {
  return {Initialiser::Kind::kNormal, stddev};
}
Initialiser xavier() {
  return {Initialiser::Kind::kXavierUniform, 0};
}

/// Collects the rows of one unit under one name prefix.
class Rows {
 public:
  Rows(std::vector<ParameterRow>& table, Unit unit, std::string prefix)
      : table_(table), unit_(unit), prefix_(std::move(prefix)) {}

  ParameterRow& add(const std::string& local_name, std::vector<int64_t> shape,
                    Initialiser initialiser, ParameterGroup group) {
    ParameterRow row;
    row.name = prefix_ + local_name;
    row.local_name = local_name;
    row.shape = std::move(shape);
    row.initialiser = initialiser;
    row.group = group;
    row.unit = unit_;
    table_.push_back(std::move(row));
    return table_.back();
  }

  /// A weight [out, in] cut over the model axis by rows (per section) or by columns.
  ParameterRow& kernel(const std::string& local_name, int64_t out, int64_t in, ModelCut cut,
                       std::vector<int64_t> sections = {}) {
    ParameterRow& row = add(local_name, {out, in}, xavier(), ParameterGroup::kKernel);
    row.model_cut = cut;
    row.sections = sections.empty() ? std::vector<int64_t>{out} : std::move(sections);
    return row;
  }

  /// A bias; one that belongs to rows is cut as the rows are.
  ParameterRow& bias(const std::string& local_name, Initialiser initialiser, ModelCut cut,
                     const std::vector<int64_t>& sections) {
    const int64_t size = std::accumulate(sections.begin(), sections.end(), int64_t{0});
    ParameterRow& row = add(local_name, {size}, initialiser, ParameterGroup::kBias);
    row.model_cut = cut;
    row.sections = sections;
    return row;
  }

  /// A tensor over the residual stream's features, its last dim, cut as the stream is.
  ParameterRow& features(const std::string& local_name, std::vector<int64_t> shape,
                         Initialiser initialiser, ParameterGroup group) {
    ParameterRow& row = add(local_name, std::move(shape), initialiser, group);
    row.model_cut = ModelCut::kColumns;
    return row;
  }

  /// A norm of features that the ranks share out, where there is one.
  void norm(const BlockNorm& norm) {
    if (!norm.exists()) return;
    const auto& [name, form, size] = norm;
    features(name + ".weight", {size}, constant(1), ParameterGroup::kNorm);
    if (form.has_bias) features(name + ".bias", {size}, constant(0), ParameterGroup::kBias);
  }

  /// The norm of each head's q or k, where there is one: every rank has it whole and sees its own
  /// heads.
  void head_norm(const BlockNorm& norm) {
    if (!norm.exists()) return;
    const auto& [name, form, size] = norm;
    add(name + ".weight", {size}, constant(1), ParameterGroup::kNorm).gradient_sum_over_model =
        true;
    if (form.has_bias)
      add(name + ".bias", {size}, constant(0), ParameterGroup::kBias).gradient_sum_over_model =
          true;
  }

  /// A linear layer whose outputs a mesh cuts, section by section.
  void in_layer(const LinearSpec& linear, const std::vector<int64_t>& sections,
                Initialiser bias_initialiser) {
    kernel(linear.weight, linear.out, linear.in, ModelCut::kRowsPerSection, sections);
    if (!linear.bias.empty())
      bias(linear.bias, bias_initialiser, ModelCut::kRowsPerSection, sections);
    adapter(linear);
  }
  /// One whose inputs it cuts.
  void out_layer(const LinearSpec& linear, Initialiser bias_initialiser) {
    kernel(linear.weight, linear.out, linear.in, ModelCut::kColumns);
    if (!linear.bias.empty()) bias(linear.bias, bias_initialiser, ModelCut::kColumns, {linear.out});
    adapter(linear);
  }
  /// What stands beside a layer's weight; at first it adds nothing. A as PEFT begins it
  /// (kaiming_uniform_ with a = sqrt(5)).
  void adapter(const LinearSpec& linear) {
    const AdapterSpec& adapter = linear.adapter;
    if (!adapter.exists()) return;
    const double bound = 1 / std::sqrt(static_cast<double>(linear.in));
    add(adapter.a, {adapter.rank, linear.in}, {Initialiser::Kind::kUniform, bound},
        ParameterGroup::kAdapter);
    add(adapter.b, {linear.out, adapter.rank}, constant(0), ParameterGroup::kAdapter);
  }
  /// What members of an ensemble have beside a layer's rows.
  void fast(const LinearSpec& linear) {
    const FastWeights& fast = linear.fast;
    if (!fast.exists()) return;
    const Initialiser around_one =
        fast.first_sign > 0 ? Initialiser{Initialiser::Kind::kSign, fast.first_sign}
                            : Initialiser{Initialiser::Kind::kAroundOne, -fast.first_sign};
    add(fast.in, {fast.members, linear.in}, around_one, ParameterGroup::kScale);
    add(fast.out, {fast.members, linear.out}, around_one, ParameterGroup::kScale);
    add(fast.bias, {fast.members, linear.out}, constant(0), ParameterGroup::kBias);
  }
  /// LayerScale, where there is one.
  void scale(const std::string& name, const BlockSpec& block) {
    if (!name.empty())
      features(name, {block.whole_width}, constant(block.first_scale), ParameterGroup::kScale);
  }

 private:
  std::vector<ParameterRow>& table_;
  Unit unit_;
  std::string prefix_;
};

/// A norm outside of the blocks.
BlockNorm model_norm(const std::string& name, const ViTConfig& c) {
  return {name, norm_form(c), c.embed_dim};
}

void add_embedding(std::vector<ParameterRow>& table, const ViTConfig& c) {
  Rows rows(table, {UnitKind::kEmbedding}, "");
  if (c.reads_words())
    rows.features("token_embedding.weight", {c.text.vocab_size, c.embed_dim}, normal(kWordStddev),
                  ParameterGroup::kToken);
  if (c.tokens.class_token)
    rows.features("cls_token", {1, 1, c.embed_dim}, constant(0), ParameterGroup::kToken);
  if (c.tokens.reg_tokens > 0)
    rows.features("reg_token", {1, c.tokens.reg_tokens, c.embed_dim}, normal(kRegisterStddev),
                  ParameterGroup::kToken);
  if (c.has_position_table())
    rows.features("pos_embed", {1, c.position_rows(), c.embed_dim},
                  normal(1 / std::sqrt(static_cast<double>(c.embed_dim))),
                  ParameterGroup::kPosition);
  if (c.reads_words()) return;
  const auto fan_in = static_cast<double>(c.in_chans * c.patch_size * c.patch_size);
  ParameterRow& kernel =
      rows.add("patch_embed.proj.weight", {c.embed_dim, c.in_chans, c.patch_size, c.patch_size},
               normal(1 / std::sqrt(fan_in)), ParameterGroup::kKernel);
  kernel.model_cut = ModelCut::kRowsPerSection;
  kernel.sections = {c.embed_dim};
  rows.bias("patch_embed.proj.bias", constant(0), ModelCut::kRowsPerSection, {c.embed_dim});
  if (c.norm.embed_norm) rows.norm(model_norm("patch_embed.norm", c));
  if (c.norm.pre_norm) rows.norm(model_norm("norm_pre", c));
}

void add_block(std::vector<ParameterRow>& table, const BlockSpec& b, int64_t index) {
  Rows rows(table, block_unit(index), "blocks." + std::to_string(index) + ".");
  const Initialiser mlp_bias = normal(kMlpBiasStddev);
  for (const BlockNorm* norm : {&b.norm1, &b.out_norm1}) rows.norm(*norm);
  if (b.is_parallel()) {
    rows.in_layer(b.in_projection(), b.in_sections(), constant(0));
    if (b.fc1.bias != b.qkv.bias)
      rows.bias(b.fc1.bias, mlp_bias, ModelCut::kRowsPerSection, b.hidden_sections());
  } else {
    rows.in_layer(b.qkv, b.qkv_sections(), constant(0));
  }
  for (const BlockNorm* norm : {&b.q_norm, &b.k_norm}) rows.head_norm(*norm);
  for (const BlockNorm* norm : {&b.q_wide, &b.k_wide, &b.attn_norm}) rows.norm(*norm);
  rows.out_layer(b.proj, constant(0));
  rows.scale(b.scale1, b);
  if (!b.is_parallel()) {
    for (const BlockNorm* norm : {&b.norm2, &b.out_norm2}) rows.norm(*norm);
    if (b.is_gated() && b.gate.weight != b.fc1.weight) {
      rows.in_layer(b.gate, {b.hidden}, mlp_bias);
      rows.in_layer(b.fc1, {b.hidden}, mlp_bias);
    } else {
      rows.in_layer(b.hidden_projection(), b.hidden_sections(), mlp_bias);
    }
  }
  for (const LinearSpec* layer : {&b.gate, &b.fc1}) rows.fast(*layer);
  rows.norm(b.mlp_norm);
  rows.out_layer(b.fc2, mlp_bias);
  rows.fast(b.fc2);
  rows.scale(b.scale2, b);
}

void add_pool(std::vector<ParameterRow>& table, const ViTConfig& c) {
  const int64_t width = c.embed_dim;
  Rows rows(table, {UnitKind::kPool}, "");
  if (c.norm.fc_norm) rows.norm(model_norm("fc_norm", c));
  if (c.pool.global_pool != "map") return;
  rows.features("attn_pool.latent", {1, 1, width}, xavier(), ParameterGroup::kToken).sections = {1};
  rows.kernel("attn_pool.q.weight", width, width, ModelCut::kRowsPerSection);
  rows.bias("attn_pool.q.bias", constant(0), ModelCut::kRowsPerSection, {width});
  rows.kernel("attn_pool.kv.weight", 2 * width, width, ModelCut::kRowsPerSection, {width, width});
  rows.bias("attn_pool.kv.bias", constant(0), ModelCut::kRowsPerSection, {width, width});
  rows.kernel("attn_pool.proj.weight", width, width, ModelCut::kColumns);
  rows.bias("attn_pool.proj.bias", constant(0), ModelCut::kColumns, {width});
  if (!c.pool.pool_mlp) return;
  rows.norm(model_norm("attn_pool.norm", c));
  const int64_t hidden = c.pool_mlp_dim();
  const Initialiser mlp_bias = normal(kMlpBiasStddev);
  rows.in_layer({"attn_pool.mlp.fc1.weight", "attn_pool.mlp.fc1.bias", 0, 0, hidden, width},
                {hidden}, mlp_bias);
  rows.out_layer({"attn_pool.mlp.fc2.weight", "attn_pool.mlp.fc2.bias", 0, 0, width, hidden},
                 mlp_bias);
}

/// The projection to the embedding shared with an image tower, and the contrastive logits' scale
/// (as a logarithm) and bias.
void add_joint_head(Rows& rows, const ViTConfig& c) {
  rows.kernel("joint.weight", c.text.joint_dim, c.embed_dim, ModelCut::kNone);
  rows.bias("joint.bias", constant(0), ModelCut::kNone, {c.text.joint_dim});
  rows.add("logit_scale", {1}, constant(std::log(kFirstTemperature)), ParameterGroup::kScale);
  rows.add("logit_bias", {1}, constant(kFirstJointBias), ParameterGroup::kScale);
}

/// What an image's noise of the logits is made from, first values as Flax's Dense has them
/// (lecun_normal, not truncated here).
void add_noise(Rows& rows, const ViTConfig& c) {
  const auto layer = [&](const std::string& name, int64_t outputs) {
    ParameterRow& kernel =
        rows.kernel(name + ".weight", outputs, c.pooled_dim(), ModelCut::kRowsPerSection);
    kernel.group = ParameterGroup::kHead;
    kernel.initialiser = normal(1 / std::sqrt(static_cast<double>(c.pooled_dim())));
    rows.bias(name + ".bias", constant(0), ModelCut::kRowsPerSection, {outputs});
  };
  if (c.plex.head_factors > 0) layer("head.factors", c.num_classes * c.plex.head_factors);
  layer("head.diag", c.num_classes);
}

void add_head(std::vector<ParameterRow>& table, const ViTConfig& c) {
  Rows rows(table, {UnitKind::kHead}, "");
  if (c.reads_words() && c.text.joint_dim > 0) return add_joint_head(rows, c);
  const int64_t outputs = c.head_outputs();
  ParameterRow& kernel =
      rows.kernel("head.weight", outputs, c.pooled_dim(), ModelCut::kRowsPerSection);
  kernel.group = ParameterGroup::kHead;
  if (!c.embeds_images()) kernel.initialiser = constant(0);
  rows.bias("head.bias", constant(c.embeds_images() ? 0 : c.head_bias_init),
            ModelCut::kRowsPerSection, {outputs});
  if (c.plex.is_heteroscedastic()) add_noise(rows, c);
}

}  // namespace

const char* group_name(ParameterGroup group) {
  static constexpr const char* kNames[] = {"head",  "kernel", "bias",    "norm",     "position",
                                           "token", "scale",  "adapter", "statistic"};
  return kNames[static_cast<int>(group)];
}

std::string Initialiser::text() const {
  if (kind == Kind::kConstant) return concat("constant ", value);
  if (kind == Kind::kNormal) return concat("normal, stddev ", value);
  if (kind == Kind::kUniform) return concat("uniform, to ", value);
  if (kind == Kind::kAroundOne) return concat("normal around 1, stddev ", value);
  if (kind == Kind::kSign) return concat("1 with probability ", value, ", else -1");
  return "xavier uniform";
}

int64_t ParameterRow::count() const {
  return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
}

std::vector<ParameterRow> parameter_table(const ViTConfig& config) {
  const BlockSpec block = block_spec(config), last = last_block_spec(config);  // validates
  std::vector<ParameterRow> table;
  add_embedding(table, config);
  for (int64_t i = 0; i < config.depth; ++i)
    add_block(table, i < config.first_ensemble_block() ? block : last, i);
  if (config.has_final_norm())
    Rows(table, {UnitKind::kFinalNorm}, "").norm(model_norm("norm", config));
  add_pool(table, config);
  if (config.has_head()) add_head(table, config);
  return table;
}

std::vector<ParameterRow> image_tower_table(const ViTConfig& config) {
  std::vector<ParameterRow> table = parameter_table(config);
  for (ParameterRow& row : table) {
    row.name.insert(0, kImagePrefix);
    row.unit.tower = Tower::kImage;
  }
  return table;
}

ParameterRow alone_in_its_tower(ParameterRow row) {
  if (row.unit.tower != Tower::kImage) return row;
  row.name.erase(0, kImagePrefix.size());
  row.unit.tower = Tower::kMain;
  return row;
}

TensorCut tensor_cut(const ParameterRow& row) {
  TensorCut cut{.shape = row.shape};
  if (row.model_cut == ModelCut::kNone) return cut;
  const bool is_by_columns = row.model_cut == ModelCut::kColumns;
  cut.model_dim = is_by_columns ? static_cast<int64_t>(row.shape.size()) - 1 : 0;
  cut.sections = is_by_columns ? std::vector<int64_t>{row.shape.back()} : row.sections;
  return cut;
}

ParameterCounts count_parameters(const std::vector<ParameterRow>& table) {
  ParameterCounts counts;
  for (const ParameterRow& row : table) {
    const int64_t n = row.count();
    counts.total += n;
    if (row.unit.kind != UnitKind::kHead) counts.body_and_pool += n;
    if (row.unit.kind < UnitKind::kPool) counts.body += n;
    if (row.unit.kind == UnitKind::kBlock && row.group == ParameterGroup::kKernel)
      counts.block_matmul += n;
  }
  return counts;
}

}  // namespace vit22b
