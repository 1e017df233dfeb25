#include "cli/head_command.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/log.h"
#include "core/progress.h"
#include "core/signals.h"
#include "metrics/interval.h"

namespace vit22b {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

constexpr const char* kPixels = "pixels";
constexpr const char* kFileEnding = ".safetensors";

std::unique_ptr<FeatureExtractor> make_extractor(const HeadFlags& flags, const Device& device,
                                                 const std::vector<std::string>& names) {
  if (flags.checkpoint == kPixels) {
    if (names != std::vector<std::string>{"pooled"})
      throw UsageError("pixels have no other features; leave --feature away");
    return make_pixel_extractor(flags.pp);
  }
  return make_model_extractor(flags.checkpoint,
                              {device, flags.common.precision, flags.common.engine}, names);
}

fs::path cache_root(const HeadFlags& flags) {
  if (!flags.cache.empty()) return flags.cache;
  if (flags.checkpoint == kPixels) return "cache/pixels";
  const fs::path path = flags.checkpoint;
  return (fs::is_directory(path) ? path : path.parent_path()) / "cache";
}

FeatureTable make_features(const HeadFlags& flags, FeatureExtractor& extractor,
                           const DataSource& source) {
  Progress progress("features", source.size(), flags.common.is_quiet);
  FileOps ops;
  const fs::path root = cache_root(flags);
  FeatureTable table = cached_features(extractor, source,
                                       {.root = root,
                                        .batch_size = flags.batch,
                                        .num_workers = flags.workers,
                                        .max_bad_fraction = flags.max_bad_fraction,
                                        .should_stop = [] { return stop_signal() != 0; },
                                        .on_progress = [&](int64_t n) { progress.update(n); }},
                                       ops);
  log_info(concat(table.size(), " features in ", root.string()));
  return table;
}

double mean_of(const at::Tensor& values) {
  return values.to(at::kDouble).mean().item<double>();
}

Json pair_of(const metrics::Interval& interval) {
  return {interval.low, interval.high};
}

metrics::Interval interval_of(const at::Tensor& right_SM, int64_t seed) {
  if (right_SM.size(0) == 1)
    return metrics::wilson_interval(right_SM.sum().item<int64_t>(), right_SM.size(1));
  return metrics::bootstrap_interval(right_SM, static_cast<uint64_t>(seed));
}

Json per_class(const HeadData& data, const at::Tensor& right_SM) {
  const at::Tensor counts = class_counts(data.test.labels_N, data.num_classes);
  const at::Tensor right =
      at::bincount(data.test.labels_N, right_SM.to(at::kDouble).mean(0), data.num_classes);
  Json rows = Json::array();
  for (int64_t c = 0; c < data.num_classes; ++c) {
    const auto& names = data.train.label_names;
    const auto count = counts[c].item<int64_t>();
    rows.push_back(
        {{"label", names.empty() ? std::to_string(c) : names[static_cast<size_t>(c)]},
         {"num_examples", count},
         {"accuracy",
          count == 0 ? Json() : Json(right[c].item<double>() / static_cast<double>(count))}});
  }
  return rows;
}

std::string tensor_name(int64_t key) {
  return key == 0 ? "predicted" : concat("predicted.", key);
}

void write_predictions(const HeadFlags& flags, const HeadResult& result) {
  if (flags.predictions.empty()) return;
  TensorList tensors = {{"labels", result.data.test.labels_N}};
  for (const auto& [key, predicted_SM] : result.predicted)
    tensors.emplace_back(tensor_name(key), predicted_SM.contiguous());
  FileOps ops;
  write_safetensors(ops, flags.predictions, tensors, {{"method", result.method}});
}

/// The mean difference to another run's predictions of the same samples, run by run.
Json difference(const HeadFlags& flags, const HeadResult& result, int64_t key,
                const at::Tensor& right_SM) {
  const SafetensorsFile other(flags.against);
  const at::Tensor labels = other.load("labels");
  if (!labels.equal(result.data.test.labels_N))
    throw DataError(flags.against, " holds predictions of other test samples than ",
                    result.data.test.place);
  const at::Tensor predicted = other.load(tensor_name(key));
  if (predicted.sizes() != right_SM.sizes())
    throw DataError(flags.against, ": ", predicted.size(0), " draws, here ", right_SM.size(0),
                    "; compare runs with the same options");
  const at::Tensor gain =
      right_SM.to(at::kDouble) - predicted.eq(labels.unsqueeze(0)).to(at::kDouble);
  return {{"mean", mean_of(gain)},
          {"confidence_interval",
           pair_of(metrics::bootstrap_interval(gain, static_cast<uint64_t>(flags.common.seed)))}};
}

std::string as_text(const HeadResult& result, const Json& json) {
  std::string text;
  for (const auto& [key, predicted] : result.predicted) {
    const std::string name = std::to_string(key);
    const auto of = [&](const char* field) -> const Json& {
      return key == 0 ? json.at(field) : json.at(field).at(name);
    };
    char line[256];
    std::snprintf(line, sizeof line, "%s%s%s  accuracy %.2f %%  (95 %%: %.2f to %.2f)",
                  result.method.c_str(), key == 0 ? "" : " ", key == 0 ? "" : name.c_str(),
                  100 * of("accuracy").get<double>(),
                  100 * of("confidence_interval")[0].get<double>(),
                  100 * of("confidence_interval")[1].get<double>());
    text += line;
    if (json.contains("difference")) {
      const Json& d = of("difference");
      std::snprintf(line, sizeof line, "  difference %+.2f %%  (95 %%: %+.2f to %+.2f)",
                    100 * d["mean"].get<double>(), 100 * d["confidence_interval"][0].get<double>(),
                    100 * d["confidence_interval"][1].get<double>());
      text += line;
    }
    text += "\n";
  }
  if (json.contains("chosen")) text += "chosen: " + json["chosen"].dump() + "\n";
  return text;
}

}  // namespace

namespace {

/// What decides how features are made and results are told.
void add_shared_flags(CLI::App& command, HeadFlags& flags) {
  command.add_option("--cache", flags.cache, "folder of cached features; CKPT/cache by default");
  command.add_option("--batch", flags.batch, "images a batch")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000));
  command.add_option("--workers", flags.workers, "loader threads")
      ->capture_default_str()
      ->check(CLI::Range(1, 256));
  command
      .add_option("--max-bad-fraction", flags.max_bad_fraction,
                  "share of samples that may be unusable")
      ->capture_default_str();
  command.add_option("--predictions", flags.predictions,
                     "safetensors file to write the predicted classes to");
  command.add_option("--against", flags.against,
                     "an earlier --predictions file: adds the paired `difference` to it");
  add_common_flags(command, flags.common, kDevice | kPrecision | kSeed | kOut | kJson,
                   "also write the JSON result here");
}

}  // namespace

void add_head_flags(CLI::App& command, HeadFlags& flags) {
  command.add_option("checkpoint", flags.checkpoint,
                     "checkpoint or run folder whose features are used, or \"pixels\"; none where "
                     "--train and --test are files of features");
  command
      .add_option("--train", flags.train,
                  "data source (idx:DIR, folder:DIR, manifest:FILE), or a safetensors file with "
                  "`features` [N,D] (else `pooled`) and `labels` [N]")
      ->required();
  command.add_option("--test", flags.test, "the same for the test; --train's source by default");
  command.add_option("--train-split", flags.train_split, "split of --train")->capture_default_str();
  command.add_option("--test-split", flags.test_split, "split of --test")->capture_default_str();
  command.add_option("--feature", flags.feature, "pooled, mean, logits or block.N")
      ->capture_default_str();
  command.add_option("--pp", flags.pp, "transform of \"pixels\"")->capture_default_str();
  add_shared_flags(command, flags);
}

void add_data_flags(CLI::App& command, HeadFlags& flags) {
  command.add_option("--data", flags.test, "data source (idx:DIR, folder:DIR, manifest:FILE)")
      ->required();
  command.add_option("--split", flags.test_split, "split of --data")->capture_default_str();
  add_shared_flags(command, flags);
}

bool is_from_files(const HeadFlags& flags) {
  const bool is_train_file = flags.train.ends_with(kFileEnding),
             is_test_file = flags.test.ends_with(kFileEnding);
  if (is_train_file != is_test_file && !flags.test.empty())
    throw UsageError("--train and --test: give two files of features, or two data sources");
  if (is_train_file && flags.test.empty()) throw UsageError("give --test F.safetensors too");
  if (is_train_file && !flags.checkpoint.empty())
    throw UsageError("'", flags.checkpoint, "': files of features need no checkpoint");
  if (!is_train_file && flags.checkpoint.empty())
    throw UsageError("give a checkpoint whose features of ", flags.train,
                     " are used, or files of features");
  return is_train_file;
}

HeadTables open_head_tables(const HeadFlags& flags, const Device& device,
                            const std::vector<std::string>& names) {
  const auto extractor = make_extractor(flags, device, names);
  const std::string& test = flags.test.empty() ? flags.train : flags.test;
  return {make_features(flags, *extractor, *open_source(flags.train, flags.train_split)),
          make_features(flags, *extractor, *open_source(test, flags.test_split))};
}

FeatureTable open_table(const HeadFlags& flags, const Device& device, const DataSource& source) {
  const auto extractor = make_extractor(flags, device, {flags.feature});
  return make_features(flags, *extractor, source);
}

LabelledFeatures open_features(const HeadFlags& flags, const Device& device,
                               const std::string& split) {
  const auto source = open_source(flags.test, split);
  LabelledFeatures data = open_table(flags, device, *source).labelled(flags.feature);
  data.features_ND = unit_rows(data.features_ND);
  return data;
}

at::Tensor unit_rows(const at::Tensor& x_ND) {
  return x_ND / x_ND.norm(2, 1, /*keepdim=*/true).clamp_min(1e-12);
}

HeadData open_head_data(const HeadFlags& flags, const Device& device) {
  HeadData data;
  if (is_from_files(flags)) {
    data.train = read_features(flags.train);
    data.test = read_features(flags.test);
  } else {
    const HeadTables tables = open_head_tables(flags, device, {flags.feature});
    data.train = tables.train.labelled(flags.feature);
    data.test = tables.test.labelled(flags.feature);
  }
  data.num_classes = count_classes(data.train, data.test);
  return data;
}

void report_head(const HeadFlags& flags, const HeadResult& result, const Json& chosen) {
  const HeadData& data = result.data;
  Json json = {{"method", result.method},
               {"num_train", data.train.size()},
               {"num_test", data.test.size()},
               {"num_classes", data.num_classes}};
  for (const auto& [key, predicted_SM] : result.predicted) {
    const at::Tensor right_SM = predicted_SM.eq(data.test.labels_N.unsqueeze(0));
    const auto put = [&](const char* field, Json value) {
      (key == 0 ? json[field] : json[field][std::to_string(key)]) = std::move(value);
    };
    put("accuracy", mean_of(right_SM));
    put("confidence_interval", pair_of(interval_of(right_SM, flags.common.seed)));
    if (!flags.against.empty()) put("difference", difference(flags, result, key, right_SM));
    put("per_class", per_class(data, right_SM));
  }
  if (!chosen.is_null()) json["chosen"] = chosen;
  write_predictions(flags, result);
  FileOps ops;
  if (!flags.common.out.empty()) write_text(ops, flags.common.out, json.dump(1) + "\n");
  print_out(flags.common.is_json ? json.dump(1) + "\n" : as_text(result, json));
}

}  // namespace vit22b
