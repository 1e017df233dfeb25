#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/checkpoint_flags.h"
#include "cli/head_report.h"
#include "core/error.h"
#include "core/text.h"
#include "data/derived_sources.h"
#include "eval/text_tower.h"
#include "measure/retrieval.h"

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
  Json found = Json::array();
  std::string text;
  for (const auto& [id, score] : search_pictures(tower, table, flags.query, flags.top)) {
    found.push_back({{"path", id}, {"score", score}});
    text += formatted("%7.4f  ", score) + shown_name(id) + "\n";
  }
  const std::string json = Json{{"query", flags.query}, {"found", found}}.dump(
                               1, ' ', false, Json::error_handler_t::replace) +
                           "\n";
  print_and_store(flags.head.common.is_json ? json : text, [&] {
    FileOps ops;
    if (!flags.head.common.out.empty()) write_text(ops, flags.head.common.out, json);
  });
}

void run_retrieve(const RetrieveFlags& flags) {
  const Device device = begin_command(flags.head.common);
  refuse_options(*flags.head.command, {"--predictions", "--against"},
                 "retrieve predicts no classes");
  if (flags.query.empty()) refuse_options(*flags.head.command, {"--top"}, "goes with --query");
  if (is_from_pairs(flags.head)) {
    refuse_options(*flags.head.command, {"--tokenizer"}, "a file has its own texts");
    if (!flags.query.empty())
      throw UsageError("--query wants a text tower; give its checkpoint and a data source");
    return tell_result(flags.head.common, retrieval_result(read_pairs(flags.head.test)));
  }
  const TextTower tower(flags.head.checkpoint, predictor_options(flags.head.common, device),
                        Texts::kAsWritten, flags.head.tokenizer);
  std::shared_ptr<const DataSource> source = open_data(flags.head).source;
  if (flags.query.empty()) source = with_captions(source, flags.head.test);
  const FeatureTable table = open_table(flags.head, tower.image_feature(), device, *source);
  if (!flags.query.empty()) return search(flags, tower, table);
  tell_result(flags.head.common,
              retrieval_result(embed_captions(tower, *source, table, flags.head.test)));
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
