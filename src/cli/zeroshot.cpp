#include <CLI/CLI.hpp>
#include <set>

#include "cli/eval_data.h"
#include "cli/head_report.h"
#include "core/error.h"
#include "core/file.h"
#include "data/delimited.h"
#include "eval/text_tower.h"
#include "kernels/norm.h"
#include "metrics/retrieval.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kPlace = "{}";  ///< where a template takes the name

struct ZeroshotFlags {
  HeadFlags head;
  std::string classes, templates;
  bool is_restricted = false;
};

std::vector<std::string> lines_of_file(const std::string& path) {
  std::vector<std::string> lines = lines_of(read_text_or_pipe(path, ExitCode::kData));
  if (lines.empty()) throw DataError(path, " has no line with text");
  return lines;
}

std::vector<std::string> class_names(const ZeroshotFlags& flags,
                                     const std::vector<std::string>& labels) {
  if (flags.classes.empty()) return labels;
  std::vector<std::string> names = lines_of_file(flags.classes);
  std::set<std::string> seen;
  for (const std::string& name : names)
    if (!seen.insert(name).second)
      throw DataError(flags.classes, ": '", name,
                      "' is there twice; candidates have to differ, give each class one name");
  return names;
}

std::vector<std::string> templates_of(const ZeroshotFlags& flags, const TextTower& tower) {
  std::vector<std::string> templates =
      flags.templates.empty() ? tower.templates() : lines_of_file(flags.templates);
  const std::string& place = flags.templates.empty() ? flags.head.checkpoint : flags.templates;
  for (const std::string& text : templates)
    if (text.find(kPlace) == std::string::npos)
      throw DataError(place, ": '", text, "' has no {} for the class's name");
  return templates;
}

/// Each class's mean embedding over the templates, of length 1: [C, E].
at::Tensor class_embeddings(const TextTower& tower, const std::vector<std::string>& names,
                            const std::vector<std::string>& templates) {
  at::Tensor sum_CE;
  for (const std::string& text : templates) {
    std::vector<std::string> sentences;
    for (const std::string& name : names) {
      std::string sentence = text;
      sentences.push_back(sentence.replace(sentence.find(kPlace), 2, name));
    }
    const at::Tensor embedded = tower.embed(sentences);
    sum_CE = sum_CE.defined() ? sum_CE + embedded : embedded;
  }
  return unit_length(sum_CE);
}

/// Where each of the data's labels stands among the candidates.
at::Tensor as_candidates(const LabelledFeatures& data, const std::vector<std::string>& names,
                         const std::string& class_map) {
  LabelledFeatures candidates;
  candidates.label_names = names;
  candidates.place = "the candidates";
  return in_classes_of(candidates, data, class_map).labels_N;
}

/// Images, a candidate's vector for each class, and which is right.
struct Question {
  at::Tensor features_NE, classes_CE, labels_N;
  std::vector<std::string> names;  ///< of the classes, or none
  std::string place, split;
  std::vector<std::string> contents;  ///< of the images; empty where nobody knows
  size_t templates = 1;
};

/// Only those classes that some image has, so that no answer is outside of them.
Question restricted(Question asked) {
  const at::Tensor counts = class_counts(asked.labels_N, asked.classes_CE.size(0));
  const at::Tensor used = counts.nonzero().squeeze(1);
  const at::Tensor new_labels = counts.gt(0).cumsum(0) - 1;
  asked.labels_N = new_labels.index_select(0, asked.labels_N);
  asked.classes_CE = asked.classes_CE.index_select(0, used);
  std::vector<std::string> names;
  for (int64_t i = 0; i < used.size(0) && !asked.names.empty(); ++i)
    names.push_back(asked.names.at(static_cast<size_t>(used[i].item<int64_t>())));
  asked.names = std::move(names);
  tell_restriction(used.size(0));
  return asked;
}

Question ask_with_names(const ZeroshotFlags& flags, const Device& device) {
  const TextTower tower(flags.head.checkpoint,
                        {device, flags.head.common.precision, flags.head.common.engine});
  const ChosenSplit chosen = open_data(flags.head);
  LabelledFeatures data =
      open_table(flags.head, device, *chosen.source).labelled(flags.head.feature);
  data.place = chosen.text;
  if (data.label_names.empty())
    throw DataError(flags.head.test,
                    " has no labels to be right about; want class folders, or a "
                    "manifest with the column `label`");
  const auto num_labels = static_cast<int64_t>(data.label_names.size());
  data.label_names = class_names_of(flags.head, std::move(data.label_names), num_labels);
  const std::vector<std::string> names = class_names(flags, data.label_names),
                                 templates = templates_of(flags, tower);
  return {data.features_ND,
          class_embeddings(tower, names, templates),
          as_candidates(data, names, flags.head.class_map),
          names,
          data.place,
          chosen.split,
          data.contents,
          templates.size()};
}

/// Texts with one label are one class, in as many words.
Question ask_with_features(const ZeroshotFlags& flags) {
  if (!flags.classes.empty() || !flags.templates.empty() || !flags.head.labels.empty())
    throw UsageError(
        "--classes, --templates and --labels want a text tower; a file has its own texts");
  const auto [images, texts] = read_pairs(flags.head.test);
  const at::Tensor counts = at::bincount(texts.labels_N);
  if (counts.eq(0).any().item<bool>() || images.labels_N.max().item<int64_t>() >= counts.size(0))
    throw DataError(images.place, ": a label has no text; want text_labels for each of 0 to ",
                    std::max(images.labels_N.max().item<int64_t>(), counts.size(0) - 1));
  const at::Tensor sum_CE = at::zeros({counts.size(0), texts.features_ND.size(1)})
                                .index_add_(0, texts.labels_N, unit_length(texts.features_ND));
  return {images.features_ND, unit_length(sum_CE), images.labels_N, {}, images.place, "",
          images.contents};
}

void run_zeroshot(const ZeroshotFlags& flags) {
  const Device device = begin_command(flags.head.common);
  Question asked =
      is_from_pairs(flags.head) ? ask_with_features(flags) : ask_with_names(flags, device);
  if (flags.is_restricted) asked = restricted(std::move(asked));
  const int64_t num_classes = asked.classes_CE.size(0);
  const at::Tensor scores_NC = at::mm(unit_length(asked.features_NE), asked.classes_CE.t());
  const at::Tensor ranks =
      metrics::answer_ranks(scores_NC, asked.labels_N, at::arange(num_classes, at::kLong));
  report_head(flags.head, {{"zeroshot",
                            asked.labels_N,
                            asked.names,
                            num_classes,
                            /*num_train=*/0,
                            asked.place,
                            asked.split,
                            asked.contents,
                            {{0, scores_NC.argmax(1).unsqueeze(0)}}},
                           {{"recall_at", recalls(ranks)},
                            {"templates", asked.templates},
                            {"chance", 1 / static_cast<double>(num_classes)}}});
}

}  // namespace

void add_zeroshot(CLI::App& app) {
  auto flags = std::make_shared<ZeroshotFlags>();
  CLI::App* command = app.add_subcommand(
      "zeroshot", "accuracy of a two-tower model that is told its classes' names alone");
  add_data_flags(*command, flags->head);
  add_labels_flag(*command, flags->head.labels, kLabelsOfData);
  command->add_option("--classes", flags->classes,
                      "file of candidates, a name a line; the data's own labels where absent");
  add_class_map_flag(*command, flags->head.class_map, "the candidates the data's names are");
  command->add_flag("--restrict", flags->is_restricted,
                    "take answers from the candidates that the data has images of");
  command->add_option(
      "--templates", flags->templates,
      "file of sentences with {} for the name, a line each; the checkpoint's where absent");
  command->callback([flags] { run_zeroshot(*flags); });
}

}  // namespace vit22b
