#include "measure/judged_answers.h"

#include <nlohmann/json.hpp>

#include "eval/gathered.h"

namespace vit22b {

std::string probabilities_text(const EvaluatorOptions& options) {
  return options.loss == "sigmoid"
             ? "softmax over the logits of a head that was trained with sigmoid losses"
             : "softmax over the logits";
}

void JudgedAnswers::add(const std::vector<metrics::Answer>& answers) {
  for (const metrics::Answer& answer : answers)
    own_.push_back({answer.confidence, answer.is_right() ? 1.0 : 0.0});
}

std::vector<metrics::Judged> JudgedAnswers::all(const Mesh& mesh) const {
  if (mesh.size(MeshAxis::kData) == 1) return own_;
  nlohmann::json list = nlohmann::json::array();
  for (const metrics::Judged& answer : own_) list.push_back({answer.confidence, answer.right});
  std::vector<metrics::Judged> all;
  for (const auto& answer : gathered(list, mesh))
    all.push_back({answer[0].get<double>(), answer[1].get<double>()});
  return all;
}

}  // namespace vit22b
