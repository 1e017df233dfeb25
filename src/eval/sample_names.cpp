#include "eval/sample_names.h"

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/json.h"

namespace vit22b {
namespace {

constexpr const char* kPaths = "paths";
constexpr const char* kContents = "contents";
constexpr const char* kLabelNames = "label_names";

std::string list_text(const std::vector<std::string>& texts) {
  return nlohmann::json(texts).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

void SampleNames::add(const Batch& batch) {
  ids.insert(ids.end(), batch.ids.begin(), batch.ids.end());
  contents.insert(contents.end(), batch.contents.begin(), batch.contents.end());
}

std::map<std::string, std::string> SampleNames::metadata() const {
  std::map<std::string, std::string> said = contents_metadata(contents);
  said[kPaths] = list_text(ids);
  return said;
}

std::map<std::string, std::string> contents_metadata(const std::vector<std::string>& contents) {
  return texts_metadata(kContents, contents);
}

std::map<std::string, std::string> label_names_metadata(const std::vector<std::string>& names) {
  return texts_metadata(kLabelNames, names);
}

std::map<std::string, std::string> texts_metadata(const std::string& key,
                                                  const std::vector<std::string>& texts) {
  if (texts.empty()) return {};
  return {{key, list_text(texts)}};
}

at::Tensor read_whole_numbers(const SafetensorsFile& file, const std::string& name) {
  const at::Tensor values = file.load(name);
  if (!c10::isFloatingType(values.scalar_type())) return values.to(at::kLong);
  // Other tools write labels as they compute with them; a fraction is none.
  const at::Tensor numbers = values.to(at::kDouble);
  if (!numbers.eq(numbers.round()).all().item<bool>())
    throw DataError(file.path().string(), ": ", name, " are ", c10::toString(values.scalar_type()),
                    " with values that are no whole numbers");
  return numbers.to(at::kLong);
}

std::vector<std::string> read_texts(const SafetensorsFile& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end()) return {};
  try {
    return parse_json<nlohmann::json>(found->second, file.path().string(), ExitCode::kCheckpoint)
        .get<std::vector<std::string>>();
  } catch (const nlohmann::json::exception&) {
    throw CheckpointError(file.path().string(), ": `", key,
                          "` in its metadata is no list of texts");
  }
}

std::vector<std::string> read_contents(const SafetensorsFile& file, int64_t num_rows) {
  std::vector<std::string> contents = read_texts(file, kContents);
  if (file.metadata().count(kContents) == 0) return contents;
  if (static_cast<int64_t>(contents.size()) != num_rows)
    throw CheckpointError(file.path().string(), ": `contents` in its metadata has ",
                          contents.size(), " entries for ", num_rows, " rows");
  return contents;
}

}  // namespace vit22b
