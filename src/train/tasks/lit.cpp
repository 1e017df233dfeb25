#include "train/tasks/lit.h"

#include <cmath>

#include "core/error.h"
#include "eval/feature_source.h"
#include "eval/load_predictor.h"
#include "kernels/norm.h"
#include "metrics/retrieval.h"
#include "train/tasks/contrastive_loss.h"
#include "train/tasks/lit_parts.h"
#include "train/tasks/tasks.h"

namespace vit22b {
namespace {

/// Rows by their place in a source, of which each rank makes some.
class SharedRows {
 public:
  explicit SharedRows(int64_t places) : is_made_N_(at::zeros({places})) {}

  void put(const at::Tensor& places_B, const at::Tensor& rows_BW) {
    places_.push_back(places_B);
    rows_.push_back(rows_BW.to(at::kFloat));
    is_made_N_.index_fill_(0, places_B, 1);
  }
  /// [n, W] float32: those that any rank has made, in order. Every rank calls it; one at least has
  /// made a row.
  at::Tensor of_all(const Mesh& mesh, std::string_view name) {
    const auto width = std::llround(
        mesh.max(rows_.empty() ? 0 : static_cast<double>(rows_[0].size(1)), MeshAxis::kData));
    const at::Tensor all_NW = at::zeros({is_made_N_.size(0), width});
    for (size_t i = 0; i < rows_.size(); ++i) all_NW.index_copy_(0, places_[i], rows_[i]);
    mesh.sum_(all_NW, MeshAxis::kData, name);
    mesh.max_(is_made_N_, MeshAxis::kData, name);
    return all_NW.index_select(0, is_made_N_.nonzero().flatten());
  }

 private:
  at::Tensor is_made_N_;
  std::vector<at::Tensor> places_, rows_;
};

/// Trains a text tower beside an image tower (LiT, Zhai et al. 2022). The images' embeddings come
/// with the batch or are made of its images where the image tower is locked, else of its outputs.
class Lit : public Task {
 public:
  explicit Lit(const LitConfig& options) : options_(options) {}

  void choose_data(const TrainConfig& config, TrainData& data) const override {
    keep_captioned(config, data);
  }
  bool needs_folder() const override { return true; }  // for a tokenizer that is trained there
  void complete(const RunScene& scene) override {
    if (scene.start.empty())
      scene.mesh.do_once(
          [&] { train_tokenizer(options_, *scene.data.train, scene.folder, scene.ops); });
    scene.mesh.agree([&] { parts_ = open_lit(options_, scene.config, scene.folder, scene.start); });
  }
  void prepare(const TrainConfig& config, const Device& device) override {
    loss_ = config.loss;
    if (options_.is_live() && !options_.is_unlocked())
      image_tower_ = load_predictor(options_.image_tower, {.device = device,
                                                           .precision = config.precision,
                                                           .engine = config.engine,
                                                           .any_size = config.data.any_size})
                         .predictor;
  }
  void look_once(const TrainConfig& config, const Device& device, const Mesh& mesh,
                 TrainData& data) const override {
    embed_images_once(options_, config, device, mesh, data);
  }

  std::optional<ImageTower> image_tower() const override {
    if (!options_.is_unlocked()) return std::nullopt;
    const ViTConfig& config = parts_.image.config;
    return ImageTower{config, options_.trained_share(config.depth)};
  }
  const ViTConfig& image_model(const TrainConfig&) const override { return parts_.image.config; }
  std::shared_ptr<const Tokenizer> tokenizer() const override { return parts_.tokenizer; }
  std::unique_ptr<WeightSource> first_weights(const TrainConfig& config) const override {
    return vit22b::first_weights(parts_, static_cast<uint64_t>(config.seed));
  }
  ModelInfo model_info(const TrainConfig& config) const override {
    return parts_.info(config.model);
  }
  std::optional<FrozenParts> frozen_parts() const override { return parts_.frozen(); }

  TaskLoss loss(const TowerOutputs& outputs, const Batch& batch, const Mesh& mesh) const override {
    const at::Tensor& pooled_BD = outputs.image.pooled_BD;
    const at::Tensor images_BE =
        pooled_BD.defined() ? unit_length(pooled_BD.to(at::kFloat)) : embeddings(batch);
    const ContrastiveLoss result = contrastive_loss(loss_, images_BE, outputs.main.logits_BC, mesh);
    TaskLoss all{result.loss, {.logits_BC = result.text_gradient_BF}};
    if (pooled_BD.defined())
      all.image_gradients.pooled_BD =
          unit_length_gradient(pooled_BD.to(at::kFloat), result.image_gradient_BE)
              .to(pooled_BD.scalar_type());
    return all;
  }

  std::vector<Metric> metrics() const override {
    return {{"accuracy", "share", Better::kLarger},
            {"loss", "nats", Better::kSmaller},
            {"recall_at_5", "share", Better::kLarger},
            {"text_to_image_recall_at_1", "share", Better::kLarger}};
  }

  /// Retrieval among the validation's images, each with one of its captions: "accuracy" is the
  /// share of images whose caption comes first.
  std::map<std::string, double> validate(const TowerPredictors& towers, const DataSource& source,
                                         const Transforms& transforms,
                                         const Validation& validation) const override {
    const EvalOptions& options = validation.how;
    const Mesh& mesh = mesh_of(options);
    // By place in the source, so that every rank has all pairs in the order of one process.
    SharedRows images(source.size()), texts(source.size());
    for_each_batch(source, transforms, options, [&](Batch& batch) {
      if (batch.fields.count("text") == 0) return attend(towers, mesh);
      images.put(batch.indices_B, embeddings(batch, towers.image).cpu());
      texts.put(batch.indices_B, towers.main.logits(batch.fields.at("text")).cpu());
    });
    const at::Tensor images_NE = images.of_all(mesh, "image embeddings"),
                     texts_NF = texts.of_all(mesh, "text embeddings");
    const at::Tensor scores =
        at::mm(images_NE, texts_NF.slice(1, 0, -1).t());  // bias and scale are the same for all
    const at::Tensor own = at::arange(images_NE.size(0), at::kLong);
    const at::Tensor to_text = metrics::answer_ranks(scores, own, own),
                     to_image = metrics::answer_ranks(scores.t(), own, own);
    return {{"accuracy", metrics::recall_at(to_text, 1)},
            {"recall_at_5", metrics::recall_at(to_text, 5)},
            {"text_to_image_recall_at_1", metrics::recall_at(to_image, 1)},
            {"loss",
             contrastive_loss(loss_, images_NE, texts_NF, single_process()).loss.item<double>()}};
  }

 private:
  /// Takes part in the forward passes of ranks that have samples in a batch.
  static void attend(const TowerPredictors& towers, const Mesh& mesh) {
    if (mesh.size(MeshAxis::kAll) == 1) return;
    if (towers.image != nullptr) towers.image->attend();
    towers.main.attend();
  }

  /// tower  null for the locked one
  at::Tensor embeddings(const Batch& batch, Predictor* tower = nullptr) const {
    const auto cached = batch.fields.find(kImageEmbedding);
    if (cached != batch.fields.end()) return cached->second;
    if (tower == nullptr) tower = image_tower_.get();
    VIT22B_CHECK(tower != nullptr, "lit: a batch without image embeddings");
    return unit_length(tower->features(batch.images_BCHW(), {}).pooled_BD.to(at::kFloat));
  }

  LitConfig options_;
  LitParts parts_;
  std::string loss_;
  std::unique_ptr<Predictor> image_tower_;  ///< locked, of live images
};

}  // namespace

std::unique_ptr<TaskOptions> LitConfig::copy() const {
  return std::make_unique<LitConfig>(*this);
}

std::unique_ptr<Task> LitConfig::make() const {
  return std::make_unique<Lit>(*this);
}

std::unique_ptr<TaskOptions> lit_options() {
  return std::make_unique<LitConfig>();
}

}  // namespace vit22b
