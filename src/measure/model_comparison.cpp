#include "measure/model_comparison.h"

#include <ATen/ATen.h>

#include <map>
#include <optional>

#include "data/derived_sources.h"
#include "eval/finite.h"
#include "measure/defined_number.h"
#include "metrics/alignment.h"
#include "metrics/undefined.h"
#include "model/sequence.h"

namespace vit22b {
namespace {

/// What a model makes of some pictures.
struct Made {
  at::Tensor indices_N, pooled_ND, patches_NTD;
  at::Tensor answers_N;  ///< undefined without classes
};

Made make(LoadedModel& model, const DataSource& source, const EvalOptions& options,
          std::vector<BadSample>& bad_samples) {
  const Transforms transforms(model.info.pp_eval);
  std::vector<at::Tensor> indices, pooled, patches, answers;
  const auto act = [&](Batch& batch) {
    const at::Tensor images = batch.images_BCHW();
    const VitOutputs outputs = model.predictor->features(images, {});
    const int64_t prefix = sequence_of(model.info.config, images).prefix_tokens;
    indices.push_back(batch.indices_B);
    pooled.push_back(outputs.pooled_BD.cpu().to(at::kFloat));
    check_finite(pooled.back(), "pooled features", batch.ids);
    patches.push_back(outputs.tokens_BTD.slice(1, prefix).cpu().to(at::kFloat));
    if (outputs.logits_BC.defined() && !model.info.config.embeds_images())
      answers.push_back(outputs.logits_BC.cpu().argmax(1));
  };
  bad_samples = for_each_batch(source, transforms, options, act);
  return {at::cat(indices), at::cat(pooled), at::cat(patches),
          answers.empty() ? at::Tensor() : at::cat(answers)};
}

/// Where `wanted` has each of `indices`; both ascend.
at::Tensor places_in(const at::Tensor& wanted, const at::Tensor& indices) {
  return at::isin(indices, wanted).nonzero().squeeze(1);
}

void keep_common(Made& made, const at::Tensor& other_indices) {
  const at::Tensor places = places_in(other_indices, made.indices_N);
  if (places.size(0) == made.indices_N.size(0)) return;
  for (at::Tensor* one : {&made.indices_N, &made.pooled_ND, &made.patches_NTD, &made.answers_N})
    if (one->defined()) *one = one->index_select(0, places);
}

/// Which of the second model's classes each of the first's is: by name where both have names, else
/// by number; nothing where they are not the same classes.
std::optional<at::Tensor> same_classes(const ModelInfo& first, const ModelInfo& second) {
  const int64_t count = first.config.num_classes;
  if (count == 0 || count != second.config.num_classes) return std::nullopt;
  if (first.label_names.empty() || second.label_names.empty()) return at::arange(count, at::kLong);
  std::map<std::string, int64_t> numbers;
  for (const std::string& name : second.label_names) numbers.emplace(name, std::ssize(numbers));
  std::vector<int64_t> classes;
  for (const std::string& name : first.label_names) {
    const auto it = numbers.find(name);
    if (it == numbers.end()) return std::nullopt;
    classes.push_back(it->second);
  }
  if (std::ssize(numbers) != count) return std::nullopt;  // names that stand for several
  return at::tensor(classes, at::kLong);
}

/// Cosines as they come in, for their mean and lower end.
class Cosines {
 public:
  void add(const at::Tensor& first, const at::Tensor& second) {
    if (first.sizes() == second.sizes())
      all_.push_back(metrics::row_cosines(first, second).flatten().to(at::kFloat));
    else
      is_comparable_ = false;
  }
  void tell(const std::string& name, Result& result) const {
    const bool is_there = is_comparable_ && !all_.empty();
    const at::Tensor sorted = is_there ? std::get<0>(at::cat(all_).sort()) : at::Tensor();
    const auto low = [&] {
      return sorted[std::max<int64_t>(0, (sorted.size(0) - 1) / 100)].item<double>();
    };
    result.numbers.push_back(
        {{name + ".mean", "", Better::kLarger},
         is_there ? sorted.to(at::kDouble).mean().item<double>() : metrics::kUndefined});
    result.numbers.push_back(
        {{name + ".percentile_1", "", Better::kLarger}, is_there ? low() : metrics::kUndefined});
    result.lines += is_there ? concat(name, formatted("  mean %.6f", result.number(name + ".mean")),
                                      formatted("  1st percentile %.6f\n", low()))
                             : concat(name, "  undefined: of other widths or grids\n");
  }

 private:
  std::vector<at::Tensor> all_;
  bool is_comparable_ = true;
};

}  // namespace

Result compare_models(LoadedModel& first, LoadedModel& second, const DataSource& source,
                      const EvalOptions& options) {
  const at::NoGradGuard no_grad;
  constexpr int64_t kPictures = 64;  // whose patches are kept for both models at a time
  const std::shared_ptr<const DataSource> whole(&source, [](const DataSource*) {});
  const std::optional<at::Tensor> classes = same_classes(first.info, second.info);
  metrics::LinearCka cka;
  Cosines pooled, patches;
  int64_t num_agreed = 0, num_answered = 0;
  std::map<std::string, BadSample> bad;
  EvalOptions quiet = options;
  quiet.watch.on_progress = [](int64_t, int64_t) {};
  quiet.max_bad_fraction = 1;  // it is of all pictures
  for (int64_t begin = 0; begin < source.size(); begin += kPictures) {
    std::vector<int64_t> indices(static_cast<size_t>(std::min(kPictures, source.size() - begin)));
    std::iota(indices.begin(), indices.end(), begin);
    const std::unique_ptr<DataSource> part = make_subset(whole, indices);
    std::vector<BadSample> of_first, of_second;
    Made one = make(first, *part, quiet, of_first), other = make(second, *part, quiet, of_second);
    for (const auto& list : {of_first, of_second})
      for (const BadSample& sample : list) bad.emplace(sample.id, sample);
    keep_common(one, other.indices_N);
    keep_common(other, one.indices_N);
    cka.add(one.pooled_ND, other.pooled_ND);
    pooled.add(one.pooled_ND, other.pooled_ND);
    patches.add(one.patches_NTD, other.patches_NTD);
    if (one.answers_N.defined() && other.answers_N.defined() && classes) {
      num_agreed +=
          classes->index_select(0, one.answers_N).eq(other.answers_N).sum().item<int64_t>();
      num_answered += one.answers_N.size(0);
    }
    options.watch.on_progress(begin + std::ssize(indices), source.size());
  }
  check_bad_samples(bad.size(), source.size(), options.max_bad_fraction,
                    bad.empty() ? "" : bad.begin()->second.reason);
  Result result{
      "model comparison",
      {{"definitions.percentile_1", "the smallest but one in a hundred, by nearest rank"}},
      {}};
  pooled.tell("pooled_cosine", result);
  patches.tell("patch_cosine", result);
  const double agreement =
      num_answered == 0 ? metrics::kUndefined
                        : static_cast<double>(num_agreed) / static_cast<double>(num_answered);
  add_defined(
      result, {{"top1_agreement", "share", Better::kLarger}, agreement},
      "pictures with one answer, of models with the same classes: by name where both have names");
  add_defined(result, {{"cka", "", Better::kLarger}, cka.value()},
              "linear, of the pooled vectors (Kornblith et al. 2019); high by chance for few "
              "pictures of many features");
  result.numbers.push_back({{"num_examples", "images"},
                            static_cast<double>(cka.num_samples()),
                            {},
                            /*is_count=*/true});
  for (auto& [id, sample] : bad) result.bad_samples.push_back(sample);
  return result;
}

}  // namespace vit22b
