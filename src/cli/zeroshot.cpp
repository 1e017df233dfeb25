#include "measure/zeroshot.h"

#include <CLI/CLI.hpp>

#include "cli/checkpoint_flags.h"
#include "cli/class_texts.h"
#include "cli/eval_data.h"
#include "cli/head_report.h"
#include "core/error.h"
#include "eval/text_tower.h"

namespace vit22b {
namespace {

struct ZeroshotFlags {
  HeadFlags head;
  ClassTextFlags texts;
  bool is_restricted = false;
};

/// What is asked, and what is told beside the answers.
struct Asked {
  ZeroshotQuestion question;
  std::string split;
  int64_t templates = 1;
};

Asked ask_with_names(const ZeroshotFlags& flags, const Device& device) {
  const TextTower tower(flags.head.checkpoint, predictor_options(flags.head.common, device),
                        Texts::kAsWritten, flags.head.tokenizer);
  const ChosenSplit chosen = open_data(flags.head);
  LabelledFeatures data = open_table(flags.head, tower.image_feature(), device, *chosen.source)
                              .labelled(tower.image_feature());
  data.place = chosen.text;
  if (data.label_names.empty())
    throw DataError(flags.head.test,
                    " has no labels to be right about; want class folders, or a "
                    "manifest with the column `label`");
  const auto num_labels = static_cast<int64_t>(data.label_names.size());
  data.label_names = class_names_of(flags.head, std::move(data.label_names), num_labels);
  const std::vector<std::string> names = flags.texts.classes.empty()
                                             ? data.label_names
                                             : read_class_texts(flags.texts.classes),
                                 templates = templates_of(flags.texts, tower);
  const at::Tensor classes_CE = class_embeddings(
      tower, names, templates,
      flags.texts.templates.empty() ? flags.head.checkpoint : flags.texts.templates);
  return {question_of_names(data, names, classes_CE, flags.head.class_map), chosen.split,
          static_cast<int64_t>(templates.size())};
}

Asked ask_with_features(const ZeroshotFlags& flags) {
  refuse_options(*flags.head.command, {"--tokenizer"}, "a file has its own texts");
  if (!flags.texts.classes.empty() || !flags.texts.templates.empty() || !flags.head.labels.empty())
    throw UsageError(
        "--classes, --templates and --labels want a text tower; a file has its own "
        "texts");
  return {question_of_pairs(read_pairs(flags.head.test)), ""};
}

void run_zeroshot(const ZeroshotFlags& flags) {
  const Device device = begin_command(flags.head.common);
  Asked asked =
      is_from_pairs(flags.head) ? ask_with_features(flags) : ask_with_names(flags, device);
  ZeroshotQuestion& question = asked.question;
  if (flags.is_restricted) {
    question = of_used_classes(std::move(question));
    tell_restriction(question.num_classes());
  }
  report_head(flags.head, answers_to(question, asked.split, asked.templates));
}

}  // namespace

void add_zeroshot(CLI::App& app) {
  auto flags = std::make_shared<ZeroshotFlags>();
  CLI::App* command = app.add_subcommand(
      "zeroshot", "accuracy of a two-tower model that is told its classes' names alone");
  add_data_flags(*command, flags->head);
  add_labels_flag(*command, flags->head.labels, kLabelsOfData);
  add_class_text_flags(*command, flags->texts,
                       "file of candidates, a name a line; the data's own labels where absent");
  add_class_groups_flag(*command, flags->head.class_groups);
  add_class_map_flag(*command, flags->head.class_map, "the candidates the data's names are");
  command->add_flag("--restrict", flags->is_restricted,
                    "take answers from the candidates that the data has images of");
  command->callback([flags] { run_zeroshot(*flags); });
}

}  // namespace vit22b
