#include "cli/head_report.h"

#include "eval/prediction_file.h"

namespace vit22b {

void report_head(const HeadFlags& flags, const HeadAnswers& answers,
                 const std::vector<HeadAnswers>& folds) {
  const Result result =
      head_result(answers, {flags.against, flags.common.seed, flags.class_groups}, folds);
  tell_result(flags.common, result, [&](const std::string&) {
    if (!flags.predictions.empty())
      write_prediction_file(flags.predictions, answers.method, answers.labels_M, answers.predicted,
                            answers.contents);
  });
}

void report_heads(const HeadFlags& flags, const HeadSets& sets,
                  const std::function<HeadAnswers(size_t fit)>& test) {
  std::vector<HeadAnswers> fits;
  for (size_t fit = 0; fit < sets.rows.size(); ++fit) fits.push_back(test(fit));
  report_head(flags, joined_answers(sets, fits), fits);
}

}  // namespace vit22b
