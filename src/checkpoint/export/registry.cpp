#include <nlohmann/json.hpp>

#include "checkpoint/export/exporter.h"
#include "checkpoint/import/families.h"
#include "checkpoint/init_difference.h"
#include "core/error.h"

namespace vit22b {
namespace {

/// What readers tell by tensors that a family's own code always or never has.
bool has_plain_blocks(const ViTConfig& c) {
  return c.norm.norm_layer == "layernorm" && !c.attention.qk_norm && !c.norm.attn_norm &&
         !c.norm.mlp_norm;
}
bool has_plain_biases(const ViTConfig& c) {
  return c.attention.qkv_bias && c.attention.proj_bias;
}

bool is_dinov3(const ViTConfig& c) {
  return c.rotary.rope == "centre" && has_plain_blocks(c);
}
bool is_internvl(const ViTConfig& c) {
  return c.tokens.class_token && c.init_values > 0 && c.attention.qk_norm_width;
}
bool is_aimv2(const ViTConfig& c) {
  return c.norm.embed_norm;
}
bool is_siglip(const ViTConfig& c) {
  return c.pool.global_pool == "map" && !c.tokens.class_token && has_plain_blocks(c) &&
         has_plain_biases(c);
}
bool is_clip(const ViTConfig& c) {
  const bool is_eva = c.norm.norm_layer == "rmsnorm";  // whose config says what it has
  return (c.norm.pre_norm || c.embeds_images()) &&
         (is_eva || (has_plain_blocks(c) && has_plain_biases(c)));
}
bool is_dinov2(const ViTConfig& c) {
  return c.tokens.class_token && c.init_values > 0 && has_plain_blocks(c) && c.attention.proj_bias;
}

// The first that takes a model writes it.
constexpr Exporter kHuggingFace[] = {
    {"hf_dinov3", is_dinov3, write_hf_dinov3, read_hf_dinov3},
    {"hf_internvl", is_internvl, write_hf_internvl, read_hf_internvl},
    {"hf_aimv2", is_aimv2, write_hf_aimv2, read_hf_aimv2},
    {"hf_clip", is_siglip, write_hf_siglip, read_hf_clip},
    {"hf_clip", is_clip, write_hf_clip, read_hf_clip},
    {"hf_vit", is_dinov2, write_hf_dinov2, read_hf_vit},
};

/// Bytes that will be written.
class FutureBytes : public ByteStore {
 public:
  explicit FutureBytes(size_t size) : size_(size) {}
  const std::string& place() const override { return place_; }
  size_t size() const override { return size_; }
  size_t read(size_t, std::span<std::byte>) const override { return 0; }
  bool is_unchanged() const override { return true; }

 private:
  std::string place_ = "model.safetensors";
  size_t size_;
};

TensorContainer container_of(const std::vector<WrittenTensor>& tensors) {
  std::vector<StoredTensor> stored;
  size_t bytes = 0;
  for (const WrittenTensor& tensor : tensors) {
    stored.push_back({.shape = tensor.shape, .offset = bytes});
    bytes += stored.back().size_bytes();
  }
  TensorContainer container("model.safetensors");
  const size_t store = container.add_store(std::make_unique<FutureBytes>(bytes));
  for (size_t i = 0; i < tensors.size(); ++i) {
    stored[i].store = store;
    container.add(tensors[i].name, stored[i]);
  }
  return container;
}

// Weights alone do not say which GELU they were trained with: timm's reading of them has one,
// big_vision the other.
void take_what_is_not_said(const ViTConfig& config, ViTConfig& theirs) {
  const std::string& act_layer = config.mlp.act_layer;
  if (act_layer == "gelu" || act_layer == "gelu_tanh") theirs.mlp.act_layer = act_layer;
}

// What will be written, read as its family is: the same function, and each parameter from its own
// places.
void check_read_back(const std::string& format, const Exporter& exporter, const WrittenModel& model,
                     const ViTConfig& config, const std::vector<ParameterRow>& table) {
  const CheckpointPath nowhere("/dev/null");  // beside which no file lies
  const auto text = model.texts.find("config.json");
  const auto json = nlohmann::ordered_json::parse(text == model.texts.end() ? "{}" : text->second);
  const TensorContainer container = container_of(model.tensors);
  const std::vector<std::string> names = container.names();
  const Imported read =
      exporter.read({nowhere, json, "config.json", {names.begin(), names.end()}}, container);
  ViTConfig theirs = read.info.config;
  if (json.empty()) take_what_is_not_said(config, theirs);
  std::vector<std::string> texts = different_functions(theirs, config);
  const ImageSize image = config.img_size;
  if (theirs.img_size.height != image.height || theirs.img_size.width != image.width)
    texts.push_back(concat("img_size is ", theirs.img_size.height, "x", theirs.img_size.width,
                           ", here ", image.height, "x", image.width));
  if (config.has_position_table() && theirs.tokens.posemb_resize != config.tokens.posemb_resize)
    texts.push_back(concat("posemb_resize is ", theirs.tokens.posemb_resize, ", here ",
                           config.tokens.posemb_resize));
  if (!texts.empty())
    throw UsageError("--to ", format, ": as ", exporter.name, " has it, '", config.name,
                     "' would be another function:\n  ", join(texts, "\n  "));
  check_all_used(read.tensors.map(table), container);
}

constexpr Exporter kBigVision = {"big_vision", nullptr, write_big_vision, read_big_vision};

WrittenModel write_npz_model(const ModelInfo& info, const std::vector<ParameterRow>& table) {
  if (const std::string what = not_in_big_vision(info.config); !what.empty())
    throw UsageError("--to npz: '", info.config.name, "' has ", what,
                     ", which big_vision's models have not; --to timm, or leave --to away");
  WrittenModel model = kBigVision.write(info, table);
  check_read_back(kNpzFormat, kBigVision, model, info.config, table);
  return model;
}

}  // namespace

std::string export_formats() {
  return "hf|timm";
}

WrittenModel export_model(const std::string& format, const ModelInfo& info,
                          const std::vector<ParameterRow>& table) {
  if (format == "timm") return write_timm(info, table);
  if (format == kNpzFormat) return write_npz_model(info, table);
  if (format != "hf")
    throw UsageError("--to '", format, "': want ", join(split(export_formats(), '|'), " or "));
  if (info.config.num_classes > 0)
    throw UsageError("--to hf: its families' image towers are written without a classifier; ",
                     "num_classes=0");
  for (const Exporter& exporter : kHuggingFace) {
    if (info.config.is_parallel() || !exporter.takes(info.config)) continue;
    WrittenModel model = exporter.write(info, table);
    check_read_back(format, exporter, model, info.config, table);
    return model;
  }
  throw UsageError("--to hf: no family of Hugging Face's that is written has a model like '",
                   info.config.name, "'; --to timm, or leave --to away");
}

}  // namespace vit22b
