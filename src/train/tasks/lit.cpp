#include "core/error.h"
#include "eval/load_predictor.h"
#include "kernels/norm.h"
#include "metrics/retrieval.h"
#include "train/tasks/contrastive_loss.h"
#include "train/tasks/tasks.h"
#include "transfer/feature_source.h"

namespace vit22b {
namespace {

/// Trains a text tower beside an image tower (LiT, Zhai et al. 2022). The images' embeddings come
/// with the batch or are made of its images where the image tower is locked, else of its outputs.
class Lit : public Task {
 public:
  Lit(const TrainConfig& config, const Device& device) : loss_(config.loss) {
    if (config.lit.is_live() && !config.lit.is_unlocked())
      image_tower_ = load_predictor(config.lit.image_tower, {.device = device,
                                                             .precision = config.precision,
                                                             .engine = config.engine,
                                                             .any_size = config.data.any_size})
                         .predictor;
  }

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

  /// Retrieval among the validation's images, each with one of its captions: "accuracy" is the
  /// share of images whose caption comes first.
  std::map<std::string, double> validate(const TowerPredictors& towers, const DataSource& source,
                                         const Transforms& transforms,
                                         const EvalOptions& options) const override {
    BatchLoader loader(source, transforms,
                       {.batch_size = std::min(options.batch_size, source.size()),
                        .num_workers = options.num_workers,
                        .is_training = false,
                        .max_bad_fraction = options.max_bad_fraction});
    std::vector<at::Tensor> images, texts;
    for (Batch batch; loader.next(batch);) {
      if (options.should_stop()) throw Stopped("stopped during validation");
      if (batch.fields.count("text") == 0) continue;
      images.push_back(embeddings(batch, towers.image).cpu());
      texts.push_back(towers.main.logits(batch.fields.at("text")).cpu());
      options.on_progress(batch.labels_B.size(0));
    }
    options.on_bad_samples(loader.bad_samples());
    if (images.empty()) throw DataError("no sample could be read; nothing to evaluate");
    const at::Tensor images_NE = at::cat(images), texts_NF = at::cat(texts);
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
  /// tower  null for the locked one
  at::Tensor embeddings(const Batch& batch, Predictor* tower = nullptr) const {
    const auto cached = batch.fields.find(kImageEmbedding);
    if (cached != batch.fields.end()) return cached->second;
    if (tower == nullptr) tower = image_tower_.get();
    VIT22B_CHECK(tower != nullptr, "lit: a batch without image embeddings");
    return unit_length(tower->features(batch.images_BCHW, {}).pooled_BD.to(at::kFloat));
  }

  std::string loss_;
  std::unique_ptr<Predictor> image_tower_;
};

}  // namespace

std::unique_ptr<Task> make_lit(const TrainConfig& config, const Device& device) {
  return std::make_unique<Lit>(config, device);
}

}  // namespace vit22b
