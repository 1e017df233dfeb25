#include "metrics/examples.h"

#include <algorithm>
#include <set>

namespace vit22b::metrics {

std::vector<Example> examples_of(std::span<const Answer> answers, const at::Tensor& indices_B,
                                 const std::vector<std::string>& ids) {
  const at::Tensor indices = indices_B.cpu();
  std::vector<Example> examples;
  for (size_t i = 0; i < ids.size(); ++i)
    examples.push_back({indices.const_data_ptr<int64_t>()[i], ids[i], answers[i].label,
                        answers[i].prediction, answers[i].confidence});
  return examples;
}

std::vector<Example> surest_examples(std::vector<Example> examples, size_t count) {
  std::sort(examples.begin(), examples.end(), [](const Example& a, const Example& b) {
    if (a.is_right() != b.is_right()) return a.is_right();
    if (a.probability != b.probability) return a.probability > b.probability;
    return a.sample < b.sample;
  });
  std::vector<Example> chosen;
  std::set<std::pair<int64_t, int64_t>> seen;
  size_t num_right = 0, num_wrong = 0;
  for (Example& example : examples) {
    size_t& num = example.is_right() ? num_right : num_wrong;
    if (num == count || !seen.emplace(example.label, example.prediction).second) continue;
    ++num;
    chosen.push_back(std::move(example));
  }
  return chosen;
}

}  // namespace vit22b::metrics
