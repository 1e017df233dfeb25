#include <ATen/ATen.h>

#include "core/error.h"
#include "eval/finite.h"
#include "explain/method.h"

namespace vit22b {
namespace {

// The one list of methods.
constexpr ExplainMethod kMethods[] = {
    {"attention", "the image, the mean over heads, each head", explain_attention},
    {"pca", "the patches' first three principal components over all images as red, green and blue",
     explain_pca},
    {"similarity", "the image, and the cosine of each of its patches with the one at --at, 0 to 1",
     explain_similarity},
};

}  // namespace

const ExplainMethod& explain_method(const std::string& name) {
  for (const ExplainMethod& method : kMethods)
    if (name == method.name) return method;
  throw UsageError("there is no method '", name, "'", did_you_mean(name, explain_method_names()),
                   "; there are ", join(explain_method_names(), ", "));
}

std::vector<std::string> explain_method_names() {
  std::vector<std::string> names;
  for (const ExplainMethod& method : kMethods) names.emplace_back(method.name);
  return names;
}

std::string explain_method_help() {
  std::vector<std::string> helps;
  for (const ExplainMethod& method : kMethods)
    helps.push_back(concat(method.name, ": ", method.help));
  return join(helps, "; ");
}

std::vector<int64_t> ExplainedModel::grid(const at::Tensor& images_BCHW) const {
  return {images_BCHW.size(2) / config.patch_size, images_BCHW.size(3) / config.patch_size};
}

at::Tensor patch_tokens(const ExplainedModel& model, const Batch& batch) {
  const at::Tensor images_BCHW = batch.images_BCHW();
  const std::vector<int64_t> grid = model.grid(images_BCHW);
  const at::Tensor tokens_BTD = model.predictor.features(images_BCHW, {}).tokens_BTD;
  check_finite(tokens_BTD, "tokens", batch.ids);
  return tokens_BTD.slice(1, model.config.num_prefix_tokens())
      .to(at::kCPU, at::kFloat)
      .unflatten(1, grid);
}

}  // namespace vit22b
