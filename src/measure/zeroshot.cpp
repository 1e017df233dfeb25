#include "measure/zeroshot.h"

#include <ATen/ATen.h>

#include "core/error.h"
#include "kernels/norm.h"
#include "measure/retrieval.h"
#include "metrics/retrieval.h"

namespace vit22b {
namespace {

constexpr std::string_view kPlace = "{}";  // where a template takes the name

}  // namespace

at::Tensor ZeroshotQuestion::scores() const {
  return at::mm(unit_length(features_NE), classes_CE.t());
}

at::Tensor class_embeddings(const TextTower& tower, const std::vector<std::string>& names,
                            const std::vector<std::string>& templates, const std::string& place) {
  for (const std::string& text : templates)
    if (text.find(kPlace) == std::string::npos)
      throw DataError(place, ": '", text, "' has no {} for the class's name");
  at::Tensor sum_CE;
  for (const std::string& text : templates) {
    std::vector<std::string> sentences;
    for (const std::string& name : names) {
      std::string sentence = text;
      sentences.push_back(sentence.replace(sentence.find(kPlace), kPlace.size(), name));
    }
    const at::Tensor embedded = tower.embed(sentences);
    sum_CE = sum_CE.defined() ? sum_CE + embedded : embedded;
  }
  return unit_length(sum_CE);
}

ZeroshotQuestion question_of_names(const LabelledFeatures& images,
                                   const std::vector<std::string>& candidates,
                                   const at::Tensor& candidates_CE, const std::string& class_map) {
  LabelledFeatures classes;
  classes.label_names = candidates;
  classes.place = "the candidates";
  return {images.features_ND, candidates_CE, in_classes_of(classes, images, class_map).labels_N,
          candidates,         images.place,  images.contents};
}

ZeroshotQuestion question_of_pairs(const PairedFeatures& pairs) {
  const auto& [images, texts] = pairs;
  const at::Tensor counts = at::bincount(texts.labels_N);
  if (counts.eq(0).any().item<bool>() || images.labels_N.max().item<int64_t>() >= counts.size(0))
    throw DataError(images.place, ": a label has no text; want text_labels for each of 0 to ",
                    std::max(images.labels_N.max().item<int64_t>(), counts.size(0) - 1));
  const at::Tensor sum_CE = at::zeros({counts.size(0), texts.features_ND.size(1)})
                                .index_add_(0, texts.labels_N, unit_length(texts.features_ND));
  return {images.features_ND, unit_length(sum_CE), images.labels_N, {},
          images.place,       images.contents};
}

ZeroshotQuestion of_used_classes(ZeroshotQuestion asked) {
  const at::Tensor counts = class_counts(asked.labels_N, asked.num_classes());
  const at::Tensor used = counts.nonzero().squeeze(1);
  const at::Tensor new_labels = counts.gt(0).cumsum(0) - 1;
  asked.labels_N = new_labels.index_select(0, asked.labels_N);
  asked.classes_CE = asked.classes_CE.index_select(0, used);
  std::vector<std::string> names;
  for (int64_t i = 0; i < used.size(0) && !asked.names.empty(); ++i)
    names.push_back(asked.names.at(static_cast<size_t>(used[i].item<int64_t>())));
  asked.names = std::move(names);
  return asked;
}

HeadAnswers answers_to(const ZeroshotQuestion& question, const std::string& split,
                       int64_t templates) {
  const int64_t num_classes = question.num_classes();
  const at::Tensor scores_NC = question.scores();
  HeadAnswers answers{"zeroshot",      question.labels_N, question.names, num_classes,
                      /*num_train=*/0, question.place,    split,          question.contents};
  answers.predicted[0] = scores_NC.argmax(1).unsqueeze(0);
  const at::Tensor ranks =
      metrics::answer_ranks(scores_NC, question.labels_N, at::arange(num_classes, at::kLong));
  for (const int64_t k : kRecallRanks)
    answers.chosen.emplace_back(concat("recall_at.", k), metrics::recall_at(ranks, k));
  answers.chosen.emplace_back("templates", templates);
  answers.chosen.emplace_back("chance", 1 / static_cast<double>(num_classes));
  return answers;
}

}  // namespace vit22b
