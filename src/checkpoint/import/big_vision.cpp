#include <algorithm>

#include "checkpoint/container/tensor_container.h"
#include "checkpoint/import/families.h"
#include "checkpoint/import/flax_names.h"
#include "checkpoint/import/given.h"
#include "core/error.h"

// Flax's arrays in .npz files: AugReg's (vit_jax) and big_vision's, whose modules count otherwise,
// and whose blocks may be stacked in one array a layer.
namespace vit22b {
namespace {

constexpr std::string_view kPrefixes[] = {"opt/", "target/", "params/", "img/"};

constexpr std::string_view kText = "txt/", kTextBlocks = "Encoder_0/", kBlocks = "Transformer/";

std::string without_prefixes(std::string name) {
  for (const std::string_view prefix : kPrefixes)
    if (name.starts_with(prefix)) name = name.substr(prefix.size());
  return name;
}

std::string suffix_of(std::string_view leaf) {
  return leaf == "kernel" || leaf == "scale" ? "weight" : std::string(leaf);
}

/// Our name of a leaf and its part; ours "" where there is none.
struct Named {
  std::string name;
  int part = 0, parts = 1;
};
Named find_leaf(std::span<const flax::Leaf> leaves, std::string_view rest) {
  for (const flax::Leaf& leaf : leaves)
    if (rest.starts_with(leaf.theirs))
      return {std::string(leaf.ours) + suffix_of(rest.substr(leaf.theirs.size())), leaf.part,
              leaf.parts};
  return {};
}

/// "Transformer/encoderblock_3/MlpBlock_3/Dense_0/kernel" of block 3.
Named block_leaf(std::string_view rest, bool is_big_vision) {
  for (const flax::Module& module : flax::kModules) {
    const std::string_view name = is_big_vision ? module.big_vision : module.jax;
    if (!rest.starts_with(name) || rest.size() <= name.size() || rest[name.size()] != '/') continue;
    const std::string_view leaf = rest.substr(name.size() + 1);
    if (module.ours == "attn" || module.ours == "mlp") {
      Named named =
          module.ours == "attn" ? find_leaf(flax::kAttention, leaf) : find_leaf(flax::kMlp, leaf);
      if (!named.name.empty()) named.name = concat(module.ours, ".", named.name);
      return named;
    }
    return {concat(module.ours, ".", suffix_of(leaf))};
  }
  return {};
}

Named pool_leaf(std::string_view rest) {
  constexpr std::string_view kMha = "MultiHeadDotProductAttention_0/", kNorm = "LayerNorm_0/",
                             kMlpBlock = "MlpBlock_0/";
  if (rest == flax::kProbe) return {"attn_pool.latent"};
  if (rest.starts_with(kNorm)) return {"attn_pool.norm." + suffix_of(rest.substr(kNorm.size()))};
  Named named = rest.starts_with(kMha) ? find_leaf(flax::kPoolAttention, rest.substr(kMha.size()))
                : rest.starts_with(kMlpBlock) ? find_leaf(flax::kMlp, rest.substr(kMlpBlock.size()))
                                              : Named{};
  if (named.name.empty()) return named;
  named.name = concat(rest.starts_with(kMlpBlock) ? "attn_pool.mlp." : "attn_pool.", named.name);
  return named;
}

// Dense kernels are [in…, out…]: attention's have heads apart, [D, H, K], and out [H, K, D].
at::Tensor as_ours(const at::Tensor& values, const std::string& name) {
  if (name.ends_with(".bias")) return values.flatten();
  if (!name.ends_with(".weight") || values.dim() < 2 || name == "token_embedding.weight")
    return values;
  if (name == "patch_embed.proj.weight")
    return values.dim() == 4 ? values.permute({3, 2, 0, 1}).contiguous() : values;
  const bool is_out = name.ends_with("proj.weight");
  const at::Tensor matrix = is_out && values.dim() == 3 ? values.flatten(0, 1) : values.flatten(1);
  return matrix.t().contiguous();
}

std::vector<int64_t> shape_of(const std::vector<int64_t>& shape, const std::string& name) {
  return as_ours(at::empty(shape, at::TensorOptions(at::kMeta)), name).sizes().vec();
}

bool contains(const ImportFiles& files, std::string_view name) {
  return std::any_of(files.names.begin(), files.names.end(),
                     [&](const std::string& n) { return without_prefixes(n) == name; });
}

// What stands beside both towers: the logits' scale and bias.
bool is_of_logits(const std::string& name) {
  return name == "t" || name == "b";
}

class Reader {
 public:
  /// Of the image tower, or of the text tower beside it.
  Reader(const TensorContainer& weights, RenamedTensors& tensors, bool is_text)
      : weights_(weights), tensors_(tensors), is_big_vision_(is_text) {
    for (const std::string& source : weights.names())
      is_big_vision_ |= without_prefixes(source) == "pos_embedding";
    for (const std::string& source : weights.names())
      is_text ? read_text(source, without_prefixes(source))
              : read(source, without_prefixes(source), flax::kOutside);
  }
  int64_t heads() const { return heads_; }

 private:
  void read_text(const std::string& source, std::string name) {
    if (is_of_logits(name)) return put(source, {name == "t" ? "logit_scale" : "logit_bias"});
    if (!name.starts_with(kText)) return tensors_.leave_source(source);
    name = name.substr(kText.size());
    if (name.starts_with(kTextBlocks)) name.replace(0, kTextBlocks.size(), kBlocks);
    read(source, name, flax::kOutsideText);
  }

  void read(const std::string& source, const std::string& name,
            std::span<const std::pair<std::string_view, std::string_view>> outside) {
    for (const auto& [theirs, ours] : outside)
      if (name == theirs) return put(source, {std::string(ours)});
    if (name.starts_with("pre_logits/") || is_of_logits(name) || name.starts_with(kText))
      return tensors_.leave_source(source);
    if (name.starts_with(flax::kPool))
      return put(source, pool_leaf(name.substr(flax::kPool.size())));
    if (name.starts_with(flax::kStacked))
      return put_stacked(source, name.substr(flax::kStacked.size()));
    if (!name.starts_with(flax::kBlock)) return;  // nobody uses it, which is an error
    const std::string rest = name.substr(flax::kBlock.size());
    const size_t slash = rest.find('/');
    if (slash == std::string::npos) return;
    Named leaf = block_leaf(std::string_view(rest).substr(slash + 1), is_big_vision_);
    note_heads(name, weights_.tensor(source).shape);
    leaf.name = leaf.name.empty() ? "" : concat("blocks.", rest.substr(0, slash), ".", leaf.name);
    put(source, leaf);
  }

  void put(const std::string& source, const Named& leaf) {
    if (leaf.name.empty()) return;  // nobody uses it, which is an error
    const StoredTensor& stored = weights_.tensor(source);
    TensorPiece piece{source, stored.shape};
    piece.change = [name = leaf.name](const at::Tensor& values) { return as_ours(values, name); };
    tensors_.put(leaf.name, piece, shape_of(stored.shape, leaf.name), leaf.part, leaf.parts);
  }

  // One array holds a layer of all blocks.
  void put_stacked(const std::string& source, std::string_view rest) {
    const Named leaf = block_leaf(rest, is_big_vision_);
    const StoredTensor& stored = weights_.tensor(source);
    if (leaf.name.empty() || stored.shape.empty()) return;  // nobody uses it, which is an error
    const std::vector<int64_t> shape(stored.shape.begin() + 1, stored.shape.end());
    note_heads(source, shape);
    for (int64_t block = 0; block < stored.shape.front(); ++block) {
      TensorPiece piece{source, stored.shape, block, 1};
      piece.change = [name = leaf.name](const at::Tensor& rows) {
        return as_ours(rows.squeeze(0), name);
      };
      tensors_.put(concat("blocks.", block, ".", leaf.name), piece, shape_of(shape, leaf.name),
                   leaf.part, leaf.parts);
    }
  }

  void note_heads(const std::string& name, const std::vector<int64_t>& shape) {
    if (name.ends_with("query/kernel") && shape.size() == 3) heads_ = shape[1];
  }

  const TensorContainer& weights_;
  RenamedTensors& tensors_;
  bool is_big_vision_;
  int64_t heads_ = 0;
};

int64_t heads_of(const Reader& reader, const ImportFiles& files) {
  if (reader.heads() < 1)
    throw CheckpointError(files.config_place, ": its attention's kernels are not [D, heads, K]");
  return reader.heads();
}

}  // namespace

bool is_big_vision(const ImportFiles& files) {
  return contains(files, "embedding/kernel");
}

Imported read_big_vision(const ImportFiles& files, const TensorContainer& weights) {
  RenamedTensors tensors(weights);
  const Reader reader(weights, tensors, /*is_text=*/false);
  ModelInfo info;
  ViTConfig& c = info.config = config_of_shapes(tensors, files.config_place);
  c.name = "big_vision";
  c.num_heads = heads_of(reader, files);
  c.tokens.no_embed_class = false;
  c.tokens.posemb_resize = "bilinear";
  take_square_image(tensors, c);
  note_origin(info, "posemb_resize", "timm's reading of these files");
  note_origin(info, "act_layer",
              "timm's reading of these files; big_vision's own code has model.act_layer=gelu_tanh");
  take_pixels(kAroundHalf, /*is_squashed=*/true, info);
  return {info, tensors};
}

Imported read_big_vision_text(const ImportFiles& files, const TensorContainer& weights) {
  RenamedTensors tensors(weights);
  const Reader reader(weights, tensors, /*is_text=*/true);
  ModelInfo info;
  ViTConfig& c = info.config = config_of_words(tensors, files.config_place);
  c.name = "big_vision";
  c.num_heads = heads_of(reader, files);
  c.mlp.act_layer = "gelu_tanh";
  for (const char* field : {"act_layer", "norm_eps", "text_pool"})
    note_origin(info, field, "big_vision's code");
  return {info, tensors};
}

}  // namespace vit22b
