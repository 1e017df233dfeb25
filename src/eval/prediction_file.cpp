#include "eval/prediction_file.h"

#include "checkpoint/container/safetensors_writer.h"
#include "core/error.h"
#include "core/log.h"
#include "eval/predictions.h"
#include "eval/sample_names.h"
#include "kernels/shape.h"

namespace vit22b {
namespace {

std::string tensor_name(int64_t key) {
  return key == 0 ? "predicted" : concat("predicted.", key);
}

}  // namespace

PredictionFile::PredictionFile(const std::string& path)
    : path_(path), file_(path), labels_M_(read_whole_numbers(file_, "labels")) {
  if (labels_M_.dim() != 1 || labels_M_.numel() == 0)
    throw DataError(path_, ": labels are ", shape_text(labels_M_.sizes()),
                    ", want [M] of one sample or more");
  contents_ = read_contents(file_, labels_M_.size(0));
}

at::Tensor PredictionFile::read_predicted(int64_t key) const {
  if (key == 0 && file_.contains("predicted")) return read_whole_numbers(file_, "predicted");
  if (key == 0 && file_.contains("logits")) return answers_of_logits().unsqueeze(0);
  if (key > 0) return read_whole_numbers(file_, tensor_name(key));
  std::vector<std::string> names;
  for (const auto& [name, entry] : file_.entries())
    if (name.starts_with("predicted.")) names.push_back(name);
  if (names.size() == 1) return read_whole_numbers(file_, names.front());
  throw UsageError(path_, names.empty()
                              ? " has neither `predicted` nor `logits`"
                              : concat(" has ", join(names, ", "), "; choose one with --k"));
}

// The likeliest class of each sample, in the numbers of the labels; -1 for one that no label is.
at::Tensor PredictionFile::answers_of_logits() const {
  const at::Tensor logits_MC = file_.load("logits");
  if (logits_MC.dim() != 2 || logits_MC.size(1) == 0 ||
      !c10::isFloatingType(logits_MC.scalar_type()))
    throw DataError(path_, ": logits are ", c10::toString(logits_MC.scalar_type()), " ",
                    shape_text(logits_MC.sizes()), ", want floating-point numbers [M, C]");
  if (!logits_MC.isfinite().all().item<bool>())
    throw DataError(path_, ": logits have values that are not finite");
  const at::Tensor answers_M = logits_MC.argmax(-1);
  const auto map = map_of_labels(file_, labels_M_, logits_MC.size(1));
  if (!map) return answers_M;
  at::Tensor label_of_class = at::full({logits_MC.size(1)}, -1, at::kLong);
  for (size_t label = 0; label < map->classes.size(); ++label)
    if (map->classes[label] >= 0) label_of_class[map->classes[label]] = static_cast<int64_t>(label);
  return label_of_class.index_select(0, answers_M);
}

at::Tensor PredictionFile::predicted(int64_t key) const {
  at::Tensor predicted_SM = read_predicted(key);
  if (predicted_SM.dim() != 2 || predicted_SM.size(0) == 0 ||
      predicted_SM.size(1) != labels_M_.size(0))
    throw DataError(path_, ": predictions are ", shape_text(predicted_SM.sizes()), ", its ",
                    labels_M_.size(0), " labels want [draws, ", labels_M_.size(0), "]");
  return predicted_SM;
}

void PredictionFile::check_same_samples(const at::Tensor& labels_M,
                                        const std::vector<std::string>& contents,
                                        const std::string& place) const {
  if (!labels_M.equal(labels_M_))
    throw DataError(path_, " holds predictions of other test samples than ", place);
  if (contents.empty() || contents_.empty()) {
    log_info(concat((contents_.empty() ? path_ : place),
                    " does not say which pictures its samples are: they are paired by their order, "
                    "as the labels agree"));
    return;
  }
  size_t others = 0;
  for (size_t i = 0; i < contents.size(); ++i) others += contents[i] == contents_[i] ? 0 : 1;
  if (others > 0)
    throw DataError(path_, " holds predictions of other test samples than ", place,
                    ": the labels agree, but ", others, " of ", contents.size(),
                    " pictures differ");
}

void PredictionFile::check_same_samples(const PredictionFile& other) const {
  check_same_samples(other.labels_M_, other.contents_, other.path_);
}

void write_prediction_file(const std::string& path, const std::string& method,
                           const at::Tensor& labels_M,
                           const std::map<int64_t, at::Tensor>& predicted,
                           const std::vector<std::string>& contents) {
  TensorList tensors = {{"labels", labels_M}};
  for (const auto& [key, predicted_SM] : predicted)
    tensors.emplace_back(tensor_name(key), predicted_SM.contiguous());
  std::map<std::string, std::string> metadata = contents_metadata(contents);
  metadata["method"] = method;
  FileOps ops;
  write_safetensors(ops, path, tensors, metadata);
}

}  // namespace vit22b
