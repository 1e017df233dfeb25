#include "measure/model_comparison.h"

#include <ATen/ATen.h>

#include <map>
#include <numeric>

#include "core/error.h"
#include "data/derived_sources.h"
#include "measure/compared_outputs.h"
#include "measure/defined_number.h"
#include "measure/layer_comparison.h"
#include "metrics/alignment.h"
#include "metrics/undefined.h"

namespace vit22b {
namespace {

/// Which of the second model's classes each of the first's is, or why not.
struct ClassPairs {
  at::Tensor numbers_C;  ///< undefined where they are not the same classes
  std::string reason;
};

/// By name where both have names, else by number.
ClassPairs same_classes(const ModelInfo& first, const ModelInfo& second) {
  const int64_t count = first.config.num_classes, other = second.config.num_classes;
  if (count == 0 || other == 0) return {{}, "not both have classes"};
  if (count != other) return {{}, concat(count, " and ", other, " classes")};
  if (first.label_names.empty() || second.label_names.empty())
    return {at::arange(count, at::kLong), ""};
  std::map<std::string, int64_t> numbers;
  for (const std::string& name : second.label_names) numbers.emplace(name, std::ssize(numbers));
  if (std::ssize(numbers) != count) return {{}, "the second has a name for several classes"};
  std::vector<int64_t> classes;
  for (const std::string& name : first.label_names) {
    const auto it = numbers.find(name);
    if (it == numbers.end()) return {{}, concat("the second has no class '", name, "'")};
    classes.push_back(it->second);
  }
  return {at::tensor(classes, at::kLong), ""};
}

/// Cosines as they come in, for their mean and lower end.
class Cosines {
 public:
  /// difference  why the two cannot be compared; "" where they can
  void add(const at::Tensor& first, const at::Tensor& second, const std::string& difference) {
    reason_ = difference;
    if (difference.empty())
      all_.push_back(metrics::row_cosines(first, second).flatten().to(at::kFloat));
  }
  void tell(const std::string& name, Result& result) const {
    double mean = metrics::kUndefined, low = metrics::kUndefined;
    if (reason_.empty() && !all_.empty()) {
      const at::Tensor sorted = std::get<0>(at::cat(all_).sort());
      mean = sorted.to(at::kDouble).mean().item<double>();
      low = sorted[std::max<int64_t>(0, (sorted.size(0) - 1) / 100)].item<double>();
      result.lines +=
          concat(name, formatted("  mean %.6f", mean), formatted("  1st percentile %.6f\n", low));
    } else {
      result.settings.emplace_back("reasons." + name, reason_);
      result.lines += concat(name, "  undefined: ", reason_, "\n");
    }
    result.numbers.push_back({{name + ".mean", "", Better::kLarger}, mean});
    result.numbers.push_back({{name + ".percentile_1", "", Better::kLarger}, low});
  }

 private:
  std::vector<at::Tensor> all_;
  std::string reason_;
};

std::string width_difference(const at::Tensor& first, const at::Tensor& second) {
  return first.size(-1) == second.size(-1)
             ? ""
             : concat("of width ", first.size(-1), " and ", second.size(-1));
}

std::string grid_difference(const ComparedOutputs& first, const ComparedOutputs& second) {
  if (first.rows == second.rows && first.columns == second.columns)
    return width_difference(first.patches_NTD, second.patches_NTD);
  return concat("grids of ", first.rows, " x ", first.columns, " and ", second.rows, " x ",
                second.columns, " patches");
}

/// What is gathered of all pictures.
class Gathered {
 public:
  explicit Gathered(const ClassPairs& classes) : classes_(classes) {}

  void add(const ComparedOutputs& one, const ComparedOutputs& other) {
    if (one.indices_N.size(0) == 0) return;
    num_ += one.indices_N.size(0);
    cka_.add(one.pooled_ND, other.pooled_ND);
    pooled_rows_.add({one.pooled_ND}, {other.pooled_ND});
    layers_.add(one.layers, other.layers);
    pooled_.add(one.pooled_ND, other.pooled_ND, width_difference(one.pooled_ND, other.pooled_ND));
    patches_.add(one.patches_NTD, other.patches_NTD, grid_difference(one, other));
    if (one.answers_N.defined() && other.answers_N.defined() && classes_.numbers_C.defined())
      num_agreed_ += classes_.numbers_C.index_select(0, one.answers_N)
                         .eq(other.answers_N)
                         .sum()
                         .item<int64_t>();
  }
  void tell(Result& result) const;

 private:
  const ClassPairs& classes_;
  metrics::LinearCka cka_;
  LayerComparison pooled_rows_, layers_;
  Cosines pooled_, patches_;
  int64_t num_agreed_ = 0, num_ = 0;
};

void Gathered::tell(Result& result) const {
  pooled_.tell("pooled_cosine", result);
  patches_.tell("patch_cosine", result);
  const bool has_answers = classes_.numbers_C.defined() && num_ > 0;
  if (!has_answers) result.settings.emplace_back("reasons.top1_agreement", classes_.reason);
  add_defined(
      result,
      {{"top1_agreement", "share", Better::kLarger},
       has_answers ? static_cast<double>(num_agreed_) / static_cast<double>(num_)
                   : metrics::kUndefined},
      "pictures with one answer, of models with the same classes: by name where both have names");
  add_defined(result, {{"cka", "", Better::kLarger}, cka_.value()},
              "linear, of the pooled vectors (Kornblith et al. 2019); high by chance for few "
              "pictures of many features");
  const at::Tensor pooled = num_ > 0 ? pooled_rows_.cka() : at::full({1, 1}, metrics::kUndefined);
  add_defined(result, {{"cka_unbiased", "", Better::kLarger}, pooled.item<double>()},
              "the same by the unbiased estimator (Song et al. 2012), which chance leaves at 0");
  result.settings.emplace_back("definitions.cka_layers",
                               "unbiased, of the mean of the patches' raw tokens of each block; "
                               "rows are blocks of the first, columns of the second");
  if (num_ > 0) tell_layers(layers_.cka(), "cka_layers", result);
  result.numbers.push_back(
      {{"num_examples", "images"}, static_cast<double>(num_), {}, /*is_count=*/true});
}

/// throws  CheckpointError for a model that gives no vectors of pictures
void check_pooling(const LoadedModel& model) {
  const ViTConfig& config = model.info.config;
  if (config.reads_words() || !config.has_pool())
    throw CheckpointError(model.checkpoint.path().string(),
                          config.reads_words() ? " reads texts; want models that see pictures"
                                               : " pools its tokens to no vector; want one that "
                                                 "does (model.global_pool=avg behind it)");
}

/// Both models' outputs of a part of the pictures; `bad` of either.
void add_part(LoadedModel& first, LoadedModel& second, const DataSource& part,
              const EvalOptions& options, std::map<std::string, BadSample>& bad,
              Gathered& gathered) {
  std::vector<BadSample> of_first, of_second;
  ComparedOutputs one = outputs_to_compare(first, part, options, of_first),
                  other = outputs_to_compare(second, part, options, of_second);
  for (const auto& list : {of_first, of_second})
    for (const BadSample& sample : list) bad.emplace(sample.id, sample);
  keep_common(one, other);
  gathered.add(one, other);
}

}  // namespace

Result compare_models(LoadedModel& first, LoadedModel& second, const DataSource& source,
                      const EvalOptions& options) {
  const at::NoGradGuard no_grad;
  check_pooling(first), check_pooling(second);
  constexpr int64_t kPictures = 64;  // whose patches are kept for both models at a time
  const std::shared_ptr<const DataSource> whole(&source, [](const DataSource*) {});
  const ClassPairs classes = same_classes(first.info, second.info);
  Gathered gathered(classes);
  std::map<std::string, BadSample> bad;
  EvalOptions quiet = options;
  quiet.watch.on_progress = [](int64_t, int64_t) {};
  quiet.max_bad_fraction = 1;  // it is of all pictures
  for (int64_t begin = 0; begin < source.size(); begin += kPictures) {
    std::vector<int64_t> indices(static_cast<size_t>(std::min(kPictures, source.size() - begin)));
    std::iota(indices.begin(), indices.end(), begin);
    add_part(first, second, *make_subset(whole, indices), quiet, bad, gathered);
    options.watch.on_progress(begin + std::ssize(indices), source.size());
  }
  check_bad_samples(bad.size(), source.size(), options.max_bad_fraction,
                    bad.empty() ? "" : bad.begin()->second.reason);
  Result result{
      "model comparison",
      {{"definitions.percentile_1", "the smallest but one in a hundred, by nearest rank"}},
      {}};
  gathered.tell(result);
  for (auto& [id, sample] : bad) result.bad_samples.push_back(sample);
  return result;
}

}  // namespace vit22b
