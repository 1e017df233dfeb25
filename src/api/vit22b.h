#pragma once
// The library's interface for C++ programs: plain C++17, no libtorch in sight. Link vit22b::vit22b
// (find_package(vit22b CONFIG)) or use pkg-config vit22b.
//
// What a caller can mend throws std::runtime_error with a text that says what, where and what to
// do; any other std::exception is a bug.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#define VIT22B_API __attribute__((visibility("default")))

namespace vit22b {

/// Numbers with a shape, the last dimension densest.
struct Array {
  std::vector<int64_t> shape;
  std::vector<float> values;
};

/// How a model computes.
struct ModelOptions {
  std::string device = "cpu";  ///< "cpu", "cuda" or "cuda:N"
  /// "fp32"; "bf16"; "bf16_fp32", which is bf16 with the residual stream in float32.
  std::string precision = "fp32";
  std::string engine = "fused";  ///< "fused" or "reference"
  int64_t threads = 0;           ///< of the whole process; 0 for libtorch's choice
};

/// A vision transformer opened for inference. A model is used by one thread at a time.
class VIT22B_API Model {
 public:
  /// checkpoint  a run folder, a checkpoint folder (timm's too), or its model.safetensors
  explicit Model(const std::string& checkpoint, const ModelOptions& options = {});
  ~Model();
  Model(Model&&) noexcept;
  Model& operator=(Model&&) noexcept;

  /// Channels, height and width of an image.
  std::vector<int64_t> image_shape() const;
  /// Width of the features.
  int64_t width() const;
  /// Names of the classes; empty where the checkpoint has none.
  const std::vector<std::string>& label_names() const;
  /// What preprocess does, such as "decode|rgb|resize(224)|value_range(-1,1)".
  const std::string& transforms() const;

  /// Reads, decodes and transforms image files: [B, C, H, W].
  Array preprocess(const std::vector<std::string>& files) const;
  /// images [B, C, H, W], as preprocess gives them → the pooled vector of each, [B, D]. Here and
  /// below no images give no rows, and outputs that are not finite are an error naming the image.
  Array features(const Array& images) const;
  /// images → tokens after the final norm, [B, T, D].
  Array tokens(const Array& images) const;
  /// images → the classifier's scores, [B, classes].
  Array logits(const Array& images) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The classes of a picture's pixels, row by row.
struct ClassMap {
  int64_t height = 0, width = 0;
  std::vector<int32_t> classes;
};

/// Names the class of every pixel: a checkpoint with a head that `vit22b segment` has trained. Used
/// by one thread at a time.
class VIT22B_API Segmenter {
 public:
  explicit Segmenter(const std::string& checkpoint, const ModelOptions& options = {});
  ~Segmenter();
  Segmenter(Segmenter&&) noexcept;
  Segmenter& operator=(Segmenter&&) noexcept;

  /// Names of the classes.
  const std::vector<std::string>& label_names() const;
  /// Reads an image file: the class of each pixel, in the picture's own size, as `vit22b segment
  /// run` gives it.
  ClassMap segment(const std::string& file) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// How far a picture's pixels are, row by row.
struct DepthMap {
  int64_t height = 0, width = 0;
  std::vector<float> depths;
};

/// Says how far every pixel is: a checkpoint with a head that `vit22b depth` has trained, or of
/// DPT's or Depth Anything's. Used by one thread at a time.
class VIT22B_API DepthEstimator {
 public:
  explicit DepthEstimator(const std::string& checkpoint, const ModelOptions& options = {});
  ~DepthEstimator();
  DepthEstimator(DepthEstimator&&) noexcept;
  DepthEstimator& operator=(DepthEstimator&&) noexcept;

  /// "m"; or what relative depths are, which are the larger the nearer.
  const std::string& unit() const;
  /// Reads an image file: the depth of each pixel, in the picture's own size, as `vit22b depth run`
  /// gives it.
  DepthMap depth(const std::string& file) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// A linear classifier of features.
struct VIT22B_API Classifier {
  Array weights;  ///< [C, D]
  Array bias;     ///< [C]

  /// features [N, D] → scores [N, C]
  Array scores(const Array& features) const;
  /// features [N, D] → the best class of each
  std::vector<int64_t> predict(const Array& features) const;
};

/// Logistic regression by L-BFGS, as scikit-learn's: the sum of losses times c, plus |W|^2 / 2.
///
/// features  [N, D]
/// labels    N classes from 0 on
VIT22B_API Classifier train_classifier(const Array& features, const std::vector<int64_t>& labels,
                                       double c = 1);

/// Trains a model step by step on batches of the caller's: with the batches of a run of
/// `vit22b train` its weights are that run's, bit for bit. Used by one thread at a time.
class VIT22B_API Trainer {
 public:
  /// config     a TOML file as `vit22b train` takes it; or a checkpoint's folder, whose model and
  ///            weights training starts from; or "" for neither
  /// overrides  such as "model.name=s16", "model.num_classes=10", "optim.lr=1e-3",
  ///            "total_steps=1000"; data.root need not be set
  explicit Trainer(const std::string& config, const std::vector<std::string>& overrides = {});
  ~Trainer();
  Trainer(Trainer&&) noexcept;
  Trainer& operator=(Trainer&&) noexcept;

  /// One update on a batch: images [B, C, H, W], labels B classes from 0 on. Returns the loss that
  /// it had before.
  double step(const Array& images, const std::vector<int64_t>& labels);
  /// Steps made.
  int64_t steps() const;
  /// The learning rate of the next step.
  double learning_rate() const;
  /// Reads, decodes and transforms image files by data.pp_eval: [B, C, H, W].
  Array preprocess(const std::vector<std::string>& files) const;
  /// images → the classifier's scores as the weights are now, [B, classes].
  Array logits(const Array& images);
  /// Writes a checkpoint folder that Model, the program and timm open.
  void save(const std::string& folder);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// This library's version.
VIT22B_API const char* library_version();

}  // namespace vit22b
