#include "eval/predict_all.h"

#include <ATen/ATen.h>

#include "core/nameless_file.h"
#include "eval/checked_batch.h"

namespace vit22b {
namespace {

/// Rows of float32 in a scratch file.
class RowFile {
 public:
  RowFile()
      : file_(std::filesystem::temp_directory_path(), "logits", "set TMPDIR to a larger disk") {}

  void append(const at::Tensor& rows_BC) {
    const at::Tensor rows = rows_BC.contiguous();
    columns_ = rows.size(1);
    file_.write(size_, {static_cast<const std::byte*>(rows.const_data_ptr()), rows.nbytes()});
    size_ += static_cast<int64_t>(rows.nbytes());
  }
  int64_t columns() const { return columns_; }
  at::Tensor rows(int64_t first, int64_t count) const {
    at::Tensor rows = at::empty({count, columns_}, at::kFloat);
    file_.read(first * columns_ * static_cast<int64_t>(sizeof(float)),
               {static_cast<std::byte*>(rows.mutable_data_ptr()), rows.nbytes()});
    return rows;
  }

 private:
  NamelessFile file_;
  int64_t size_ = 0, columns_ = 0;
};

}  // namespace

PredictedSet predict_all(Predictor& predictor, const DataSource& source,
                         const Transforms& transforms, const EvalOptions& options,
                         const PredictAllRequest& request) {
  const at::NoGradGuard no_grad;
  const auto file = std::make_shared<RowFile>();
  std::vector<at::Tensor> pooled, labels, indices;
  PredictedSet set;
  const auto act = [&](Batch& batch) {
    if (!request.has_labels) batch.labels_B = at::zeros_like(batch.labels_B);
    VitOutputs outputs;
    if (request.wants_pooled)
      outputs = predictor.features(batch.images_BCHW(), {});
    else
      outputs.logits_BC = predictor.logits(batch.images_BCHW());
    const PredictedBatch said =
        checked({outputs.logits_BC.cpu(), batch.labels_B, batch.indices_B, batch.ids}, options);
    file->append(said.logits_BC);
    if (request.wants_pooled) pooled.push_back(outputs.pooled_BD.cpu().to(at::kFloat));
    labels.push_back(said.labels_B);
    indices.push_back(said.indices_B);
    set.predictions.ids.insert(set.predictions.ids.end(), said.ids.begin(), said.ids.end());
  };
  set.bad_samples = for_each_batch(source, transforms, options, act);
  set.predictions.place = "the model's answers";
  set.predictions.num_classes = file->columns();
  set.predictions.labels_N = at::cat(labels);
  set.predictions.indices_N = at::cat(indices);
  set.predictions.class_names = request.class_names;
  set.predictions.logits = [file](int64_t first, int64_t count) {
    return file->rows(first, count);
  };
  if (request.wants_pooled) set.pooled_ND = at::cat(pooled);
  return set;
}

}  // namespace vit22b
