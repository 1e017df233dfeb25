#include "metrics/answers.h"

#include <algorithm>

namespace vit22b::metrics {
namespace {

void add_answers(const at::Tensor& logits_BC, const at::Tensor& labels_B,
                 std::vector<Answer>& answers) {
  const at::Tensor at_label = labels_B.unsqueeze(1), own = logits_BC.gather(1, at_label);
  const at::Tensor index = at::arange(logits_BC.size(1), labels_B.options()).unsqueeze(0);
  const at::Tensor before =
      (logits_BC > own).logical_or((logits_BC == own).logical_and(index < at_label)).sum(1);
  // No comparison with a NaN holds.
  const at::Tensor is_nan = logits_BC.isnan().any(1), prediction = logits_BC.argmax(1);
  const at::Tensor exact = logits_BC.to(at::kDouble);
  const at::Tensor nll = -at::log_softmax(exact, 1).gather(1, at_label).squeeze(1);
  const at::Tensor confidence = at::softmax(exact, 1).gather(1, prediction.unsqueeze(1)).squeeze(1);
  for (int64_t i = 0; i < logits_BC.size(0); ++i) {
    const bool is_none = is_nan.const_data_ptr<bool>()[i];
    answers.push_back(
        {labels_B.const_data_ptr<int64_t>()[i],
         is_none ? Answer::kNone : prediction.const_data_ptr<int64_t>()[i],
         is_none ? std::numeric_limits<int64_t>::max() : before.const_data_ptr<int64_t>()[i],
         is_none ? 0 : confidence.const_data_ptr<double>()[i], nll.const_data_ptr<double>()[i]});
  }
}

}  // namespace

int64_t rows_at_a_time(int64_t num_classes) {
  constexpr int64_t kLogits = int64_t{1} << 20;  // 8 MiB of float64
  return std::max<int64_t>(1, kLogits / std::max<int64_t>(1, num_classes));
}

std::vector<Answer> answers_of(const at::Tensor& logits_BC, const at::Tensor& labels_B) {
  std::vector<Answer> answers;
  answers.reserve(static_cast<size_t>(labels_B.size(0)));
  const int64_t rows = rows_at_a_time(logits_BC.size(1));
  for (int64_t first = 0; first < labels_B.size(0); first += rows) {
    const int64_t count = std::min(rows, labels_B.size(0) - first);
    add_answers(logits_BC.narrow(0, first, count).cpu(),
                labels_B.narrow(0, first, count).cpu().contiguous(), answers);
  }
  return answers;
}

}  // namespace vit22b::metrics
