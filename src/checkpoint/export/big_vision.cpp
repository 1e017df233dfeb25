#include "checkpoint/export/exporter.h"
#include "checkpoint/import/flax_names.h"
#include "core/error.h"

// Flax's arrays under big_vision's names, which timm reads too.
namespace vit22b {
namespace {

constexpr std::string_view kPrefix = "params/";

/// A module whose leaves are several parameters' or their parts.
struct Module {
  std::string theirs, ours;  ///< what names begin with
  std::span<const flax::Leaf> leaves;
};

/// Writes one parameter after the other.
class Writer {
 public:
  explicit Writer(const ViTConfig& config) : config_(config) {}

  void write(const ParameterRow& row) {
    for (const auto& [theirs, ours] : flax::kOutside)
      if (row.name == ours) return add(std::string(theirs), row, whole_of(row));
    if (row.name == "attn_pool.latent")
      return add(concat(flax::kPool, flax::kProbe), row, whole_of(row));
    for (const Module& module : modules_of(row))
      if (std::string_view(row.name).starts_with(module.ours)) return write_leaves(module, row);
    add(row.name, row, whole_of(row));  // under which it is not read back
  }

  std::vector<WrittenTensor> take() { return std::move(written_); }

 private:
  static RowSlice whole_of(const ParameterRow& row) { return {&row, 0, row.shape.front()}; }

  static std::vector<Module> modules_of(const ParameterRow& row) {
    const std::string pool(flax::kPool);
    std::vector<Module> modules = {
        {pool + "LayerNorm_0/", "attn_pool.norm.", {}},
        {pool + "MlpBlock_0/", "attn_pool.mlp.", flax::kMlp},
        {pool + "MultiHeadDotProductAttention_0/", "attn_pool.", flax::kPoolAttention}};
    if (row.unit.kind != UnitKind::kBlock) return modules;
    modules.clear();
    for (const flax::Module& module : flax::kModules)
      modules.push_back({concat(flax::kBlock, row.unit.index, "/", module.big_vision, "/"),
                         concat("blocks.", row.unit.index, ".", module.ours, "."),
                         module.ours == "attn"  ? std::span<const flax::Leaf>(flax::kAttention)
                         : module.ours == "mlp" ? std::span<const flax::Leaf>(flax::kMlp)
                                                : std::span<const flax::Leaf>()});
    return modules;
  }

  void write_leaves(const Module& module, const ParameterRow& row) {
    const std::string_view rest = std::string_view(row.name).substr(module.ours.size());
    if (module.leaves.empty())
      return add(module.theirs + (rest == "weight" ? "scale" : std::string(rest)), row,
                 whole_of(row));
    for (const flax::Leaf& leaf : module.leaves) {
      if (!rest.starts_with(leaf.ours)) continue;
      const int64_t rows = row.shape.front() / leaf.parts;
      const bool is_bias = rest.substr(leaf.ours.size()) == "bias";
      add(concat(module.theirs, leaf.theirs, is_bias ? "bias" : "kernel"), row,
          {&row, leaf.part * rows, rows});
    }
  }

  // Dense kernels are [in, out]; attention's have the heads apart, [D, H, K], and out [H, K, D].
  void add(const std::string& name, const ParameterRow& row, const RowSlice& slice) {
    std::vector<int64_t> shape = row.shape;
    shape.front() = slice.count;
    std::function<at::Tensor(const at::Tensor&)> change;
    if (name == "embedding/kernel" && shape.size() == 4) {
      shape = {shape[2], shape[3], shape[1], shape[0]};
      change = [](const at::Tensor& kernel) { return kernel.permute({2, 3, 1, 0}); };
    } else if (name.ends_with("/kernel") && shape.size() == 2) {
      shape = {shape[1], shape[0]};
      change = [](const at::Tensor& matrix) { return matrix.t(); };
    }
    if (name.find("Attention_") != std::string::npos) part_heads(name, shape);
    written_.push_back({concat(kPrefix, name), std::move(shape), {slice}, std::move(change)});
  }

  void part_heads(std::string_view name, std::vector<int64_t>& shape) const {
    const bool is_out = name.find("/out/") != std::string::npos;
    if (is_out && name.ends_with("bias")) return;
    const size_t side = is_out ? 0 : shape.size() - 1;
    const int64_t head = config_.head_dim();
    shape[side] /= head;
    shape.insert(shape.begin() + static_cast<int64_t>(side) + 1, head);
  }

  const ViTConfig& config_;
  std::vector<WrittenTensor> written_;
};

}  // namespace

std::string not_in_big_vision(const ViTConfig& c) {
  const bool is_map = c.pool.global_pool == "map";
  const std::pair<bool, std::string_view> others[] = {
      {c.is_parallel(), "block=parallel"},
      {c.norm.norm_layer != "layernorm", "norms without a centre (norm_layer)"},
      {!c.attention.qkv_bias, "qkv_bias=false"},
      {!c.attention.proj_bias, "proj_bias=false"},
      {c.mlp.swiglu, "swiglu"},
      {c.attention.qk_norm, "qk_norm"},
      {c.norm.attn_norm || c.norm.mlp_norm, "norms inside of branches (attn_norm, mlp_norm)"},
      {c.norm.pre_norm || c.norm.embed_norm, "pre_norm, embed_norm"},
      {c.init_values > 0, "LayerScale (init_values)"},
      {c.tokens.reg_tokens > 0, "reg_tokens"},
      {c.tokens.class_token && c.tokens.no_embed_class, "no_embed_class"},
      {c.tokens.pos_embed != "learn", "no learnt table of positions (pos_embed)"},
      {c.rotary.rope != "none", "rope"},
      {is_map && !c.pool.pool_mlp, "pool_mlp=false"},
      {c.img_size.height != c.img_size.width, "pictures that are not square (img_size)"}};
  for (const auto& [is_other, what] : others)
    if (is_other) return std::string(what);
  return "";
}

WrittenModel write_big_vision(const ModelInfo& info, const std::vector<ParameterRow>& table) {
  Writer writer(info.config);
  for (const ParameterRow& row : table) writer.write(row);
  return {writer.take()};
}

}  // namespace vit22b
