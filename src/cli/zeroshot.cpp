#include "measure/zeroshot.h"

#include <CLI/CLI.hpp>
#include <set>

#include "cli/checkpoint_flags.h"
#include "cli/eval_data.h"
#include "cli/head_report.h"
#include "core/error.h"
#include "core/file.h"
#include "data/delimited.h"
#include "data/name_texts.h"
#include "eval/text_tower.h"

namespace vit22b {
namespace {

constexpr const char* kOpenAi = "openai";  // of --templates

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

/// The checkpoint's, OpenAI's, or a file's.
std::vector<std::string> templates_of(const ZeroshotFlags& flags, const TextTower& tower) {
  if (flags.templates.empty()) return tower.templates();
  if (flags.templates == kOpenAi) return lines_of(name_texts().at("openai_templates"));
  return lines_of_file(flags.templates);
}

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
  const std::vector<std::string> names = class_names(flags, data.label_names),
                                 templates = templates_of(flags, tower);
  const at::Tensor classes_CE = class_embeddings(
      tower, names, templates, flags.templates.empty() ? flags.head.checkpoint : flags.templates);
  return {question_of_names(data, names, classes_CE, flags.head.class_map), chosen.split,
          static_cast<int64_t>(templates.size())};
}

Asked ask_with_features(const ZeroshotFlags& flags) {
  refuse_options(*flags.head.command, {"--tokenizer"}, "a file has its own texts");
  if (!flags.classes.empty() || !flags.templates.empty() || !flags.head.labels.empty())
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
  command->add_option("--classes", flags->classes,
                      "file of candidates, a name a line; the data's own labels where absent");
  add_class_map_flag(*command, flags->head.class_map, "the candidates the data's names are");
  command->add_flag("--restrict", flags->is_restricted,
                    "take answers from the candidates that the data has images of");
  command->add_option("--templates", flags->templates,
                      "file of sentences with {} for the name, a line each, or \"openai\" for the "
                      "80 of CLIP's paper; "
                      "the checkpoint's where absent, or the name alone");
  command->callback([flags] { run_zeroshot(*flags); });
}

}  // namespace vit22b
