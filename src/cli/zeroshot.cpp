#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <set>

#include "cli/head_command.h"
#include "core/error.h"
#include "core/file.h"
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
};

/// The lines of a file that say something.
std::vector<std::string> lines_of(const std::string& path) {
  std::vector<std::string> lines;
  for (const std::string& line : split(read_text(path, ExitCode::kData), '\n'))
    if (std::string text = trim(line); !text.empty()) lines.push_back(std::move(text));
  if (lines.empty()) throw DataError(path, " has no line with text");
  return lines;
}

std::vector<std::string> class_names(const ZeroshotFlags& flags,
                                     const std::vector<std::string>& labels) {
  if (flags.classes.empty()) return labels;
  std::vector<std::string> names = lines_of(flags.classes);
  std::set<std::string> seen;
  for (const std::string& name : names)
    if (!seen.insert(name).second)
      throw DataError(flags.classes, ": '", name,
                      "' is there twice; candidates have to differ, give each class one name");
  return names;
}

std::vector<std::string> templates_of(const ZeroshotFlags& flags) {
  if (flags.templates.empty()) return {kPlace};
  std::vector<std::string> templates = lines_of(flags.templates);
  for (const std::string& text : templates)
    if (text.find(kPlace) == std::string::npos)
      throw DataError(flags.templates, ": '", text, "' has no {} for the class's name");
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
at::Tensor as_candidates(const LabelledFeatures& data, const std::vector<std::string>& names) {
  std::map<std::string, int64_t> index;
  for (const std::string& name : names) index.emplace(name, static_cast<int64_t>(index.size()));
  std::vector<int64_t> map;
  for (const std::string& label : data.label_names) {
    const auto it = index.find(label);
    map.push_back(it == index.end() ? -1 : it->second);
  }
  at::Tensor mapped = at::tensor(map, at::kLong).index_select(0, data.labels_N);
  if (const at::Tensor missing = mapped.lt(0).nonzero(); missing.numel() > 0) {
    const auto label = data.labels_N[missing[0].item<int64_t>()].item<int64_t>();
    throw DataError("the class '", data.label_names[static_cast<size_t>(label)],
                    "' of the data is not among the candidates",
                    did_you_mean(data.label_names[static_cast<size_t>(label)], names));
  }
  return mapped;
}

void run_zeroshot(const ZeroshotFlags& flags) {
  const Device device = begin_command(flags.head.common);
  const TextTower tower(flags.head.checkpoint,
                        {device, flags.head.common.precision, flags.head.common.engine});
  const LabelledFeatures data =
      open_table(flags.head, device, *open_source(flags.head.test, flags.head.test_split))
          .labelled(flags.head.feature);
  if (data.label_names.empty())
    throw DataError(flags.head.test,
                    " has no labels to be right about; want class folders, or a "
                    "manifest with the column `label`");
  const std::vector<std::string> names = class_names(flags, data.label_names),
                                 templates = templates_of(flags);
  const auto num_classes = static_cast<int64_t>(names.size());
  const at::Tensor labels_N = as_candidates(data, names);
  const at::Tensor scores_NC =
      at::mm(unit_length(data.features_ND), class_embeddings(tower, names, templates).t());
  const at::Tensor ranks =
      metrics::answer_ranks(scores_NC, labels_N, at::arange(num_classes, at::kLong));
  report_head(flags.head,
              {"zeroshot",
               labels_N,
               names,
               num_classes,
               /*num_train=*/0,
               data.place,
               {{0, scores_NC.argmax(1).unsqueeze(0)}}},
              {{"recall_at", recalls(ranks)},
               {"templates", templates.size()},
               {"chance", 1 / static_cast<double>(num_classes)}});
}

}  // namespace

void add_zeroshot(CLI::App& app) {
  auto flags = std::make_shared<ZeroshotFlags>();
  CLI::App* command = app.add_subcommand(
      "zeroshot", "accuracy of a two-tower model that is told its classes' names alone");
  command->add_option("checkpoint", flags->head.checkpoint, "run or checkpoint of vit22b lit")
      ->required();
  add_data_flags(*command, flags->head);
  command->add_option("--classes", flags->classes,
                      "file of candidates, a name a line; the data's own labels where absent");
  command->add_option("--templates", flags->templates,
                      "file of sentences with {} for the name, a line each; {} alone where absent");
  command->callback([flags] { run_zeroshot(*flags); });
}

}  // namespace vit22b
