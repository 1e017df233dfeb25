#include <CLI/CLI.hpp>
#include <cstdio>

#include "cli/head_report.h"
#include "core/error.h"
#include "data/derived_sources.h"
#include "eval/text_tower.h"
#include "kernels/norm.h"
#include "metrics/retrieval.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;

struct RetrieveFlags {
  HeadFlags head;
  std::string query;
  int64_t top = 10;
};

/// The pictures that a sentence fits best.
void search(const RetrieveFlags& flags, const TextTower& tower, const FeatureTable& table) {
  const at::Tensor scores = at::mv(unit_length(table.all("pooled")), tower.embed({flags.query})[0]);
  const auto [values, indices] = scores.topk(std::min(flags.top, table.size()));
  Json found = Json::array();
  std::string text;
  for (int64_t i = 0; i < values.numel(); ++i) {
    const std::string& id = table.ids()[static_cast<size_t>(indices[i].item<int64_t>())];
    found.push_back({{"path", id}, {"score", values[i].item<double>()}});
    char score[32];
    std::snprintf(score, sizeof score, "%7.4f  ", values[i].item<double>());
    text += score + shown_name(id) + "\n";
  }
  const std::string json = Json{{"query", flags.query}, {"found", found}}.dump(
                               1, ' ', false, Json::error_handler_t::replace) +
                           "\n";
  print_and_store(flags.head.common.is_json ? json : text, [&] {
    FileOps ops;
    if (!flags.head.common.out.empty()) write_text(ops, flags.head.common.out, json);
  });
}

/// Tells the recall both ways: an image's answer is any of its texts, a text's any of its images.
void tell_recall(const RetrieveFlags& flags, const PairedFeatures& pairs) {
  const auto& [images, texts] = pairs;
  const at::Tensor scores =
      at::mm(unit_length(images.features_ND), unit_length(texts.features_ND).t());
  const Json json = {
      {"num_images", images.size()},
      {"num_captions", texts.size()},
      {"recall_at",
       {{"image_to_text", recalls(metrics::answer_ranks(scores, images.labels_N, texts.labels_N))},
        {"text_to_image",
         recalls(metrics::answer_ranks(scores.t(), texts.labels_N, images.labels_N))}}}};
  std::string text;
  for (const auto& [way, recall] : json["recall_at"].items()) {
    char line[160];
    std::snprintf(line, sizeof line, "%s  recall@1 %.2f %%  @5 %.2f %%  @10 %.2f %%\n", way.c_str(),
                  100 * recall["1"].get<double>(), 100 * recall["5"].get<double>(),
                  100 * recall["10"].get<double>());
    text += line;
  }
  print_and_store(flags.head.common.is_json ? json.dump(1) + "\n" : text, [&] {
    FileOps ops;
    if (!flags.head.common.out.empty()) write_text(ops, flags.head.common.out, json.dump(1) + "\n");
  });
}

/// The images of a source and all their captions, embedded.
PairedFeatures embed_captions(const RetrieveFlags& flags, const TextTower& tower,
                              const DataSource& source, const FeatureTable& table) {
  std::vector<std::string> captions;
  std::vector<int64_t> image_of_caption;
  for (int64_t row = 0; row < table.size(); ++row)
    for (std::string& caption : source.captions(table.indices()[row].item<int64_t>())) {
      captions.push_back(std::move(caption));
      image_of_caption.push_back(row);
    }
  return {{table.all("pooled"), at::arange(table.size(), at::kLong), {}, flags.head.test},
          {tower.embed(captions), at::tensor(image_of_caption, at::kLong), {}, flags.head.test}};
}

void run_retrieve(const RetrieveFlags& flags) {
  const Device device = begin_command(flags.head.common);
  refuse_options(*flags.head.command, {"--predictions", "--against"},
                 "retrieve predicts no classes");
  if (flags.query.empty()) refuse_options(*flags.head.command, {"--top"}, "goes with --query");
  if (is_from_pairs(flags.head)) {
    if (!flags.query.empty())
      throw UsageError("--query wants a text tower; give its checkpoint and a data source");
    tell_recall(flags, read_pairs(flags.head.test));
    return;
  }
  const TextTower tower(flags.head.checkpoint,
                        {device, flags.head.common.precision, flags.head.common.engine});
  std::shared_ptr<const DataSource> source = open_data(flags.head).source;
  if (flags.query.empty()) source = with_captions(source, flags.head.test);
  const FeatureTable table = open_table(flags.head, device, *source);
  flags.query.empty() ? tell_recall(flags, embed_captions(flags, tower, *source, table))
                      : search(flags, tower, table);
}

}  // namespace

void add_retrieve(CLI::App& app) {
  auto flags = std::make_shared<RetrieveFlags>();
  CLI::App* command = app.add_subcommand(
      "retrieve", "recall of captions by images and back, or the pictures that fit a sentence");
  add_data_flags(*command, flags->head);
  command->add_option("--query", flags->query, "a sentence to search the pictures by");
  command->add_option("--top", flags->top, "pictures to list for it")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000));
  command->callback([flags] { run_retrieve(*flags); });
}

}  // namespace vit22b
