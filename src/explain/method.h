#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/file.h"
#include "data/batch.h"
#include "model/config.h"
#include "model/predictor.h"

namespace vit22b {

/// A model that is looked into.
struct ExplainedModel {
  Predictor& predictor;
  const ViTConfig& config;

  /// The patches of images as [rows, columns]: each image's own grid, whatever the model's size.
  std::vector<int64_t> grid(const at::Tensor& images_BCHW) const;
};

/// What is asked for; each method reads what it knows.
struct ExplainRequest {
  int64_t block = -1;           ///< attention: of this block; -1 for what the model pools by
  std::filesystem::path basis;  ///< pca: of earlier pictures; "" to fit one to these
  /// similarity: the place of the patch that all are compared with, as shares of width and height
  /// from 0 to 1.
  double at_x = 0.5, at_y = 0.5;
};

/// What a method says of one image: the array, and the picture that is drawn of it.
struct Explanation {
  std::string id;
  at::Tensor raw;          ///< float32, of any shape
  at::Tensor picture_HWC;  ///< uint8
};

/// Images in batches, which a method may go through more than once. Whoever gives them owns the
/// reading, the progress and the stopping between batches.
using ImageBatches = std::function<void(const std::function<void(const Batch& batch)>& use)>;

/// Where a method's answers go.
struct ExplainSink {
  std::function<void(const Explanation& explanation)> add;
  /// Where a method keeps what it has learnt for other pictures; null for nowhere.
  FileOps* ops = nullptr;
  std::filesystem::path folder = {};
};

/// A way to look into a model. Each is one file and one line of the list in methods.cpp.
struct ExplainMethod {
  const char* name;
  const char* help;  ///< what it draws
  /// throws  NumbersError for values that are not finite; as the predictor
  void (*explain)(const ExplainedModel& model, const ExplainRequest& request,
                  const ImageBatches& images, const ExplainSink& sink);
};

/// throws  UsageError for another name
const ExplainMethod& explain_method(const std::string& name);
std::vector<std::string> explain_method_names();
/// Their names and helps in one sentence.
std::string explain_method_help();

/// How much each head looks at each patch of each image, [B, H, h, w] float32 on the CPU: the MAP
/// head's query, or in a block (the last where no query pools and none is asked for) the class
/// token, else the mean over all tokens.
at::Tensor attention_maps(const ExplainedModel& model, const at::Tensor& images_BCHW,
                          int64_t block);
/// The tokens of each image's patches after the final norm, [B, h, w, D] float32 on the CPU.
///
/// throws  NumbersError where any token, also one that is no patch's, is not finite
at::Tensor patch_tokens(const ExplainedModel& model, const Batch& batch);

/// The methods.
void explain_attention(const ExplainedModel& model, const ExplainRequest& request,
                       const ImageBatches& images, const ExplainSink& sink);
void explain_pca(const ExplainedModel& model, const ExplainRequest& request,
                 const ImageBatches& images, const ExplainSink& sink);
void explain_similarity(const ExplainedModel& model, const ExplainRequest& request,
                        const ImageBatches& images, const ExplainSink& sink);

}  // namespace vit22b
