#include "eval/prediction_file.h"

#include "checkpoint/container/safetensors_writer.h"
#include "core/error.h"
#include "core/log.h"
#include "eval/sample_names.h"

namespace vit22b {
namespace {

std::string tensor_name(int64_t key) {
  return key == 0 ? "predicted" : concat("predicted.", key);
}

}  // namespace

PredictionFile::PredictionFile(const std::string& path)
    : path_(path), file_(path), labels_M_(file_.load("labels").to(at::kLong)) {
  if (labels_M_.dim() != 1)
    throw DataError(path_, ": labels have ", labels_M_.dim(), " dimensions, want [M]");
  contents_ = read_contents(file_, labels_M_.size(0));
}

at::Tensor PredictionFile::read_predicted(int64_t key) const {
  if (key == 0 && file_.contains("predicted")) return file_.load("predicted");
  if (key == 0 && file_.contains("logits")) return file_.load("logits").argmax(-1).unsqueeze(0);
  if (key > 0) return file_.load(tensor_name(key));
  std::vector<std::string> names;
  for (const auto& [name, entry] : file_.entries())
    if (name.starts_with("predicted.")) names.push_back(name);
  if (names.size() == 1) return file_.load(names.front());
  throw UsageError(path_, names.empty()
                              ? " has neither `predicted` nor `logits`"
                              : concat(" has ", join(names, ", "), "; choose one with --k"));
}

at::Tensor PredictionFile::predicted(int64_t key) const {
  at::Tensor predicted_SM = read_predicted(key).to(at::kLong);
  if (predicted_SM.dim() != 2 || predicted_SM.size(1) != labels_M_.size(0))
    throw DataError(path_, ": predictions of another number of samples than its ",
                    labels_M_.size(0), " labels");
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
