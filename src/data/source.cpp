#include "data/source.h"

#include <filesystem>

#include "core/error.h"
#include "data/sources/depth_folder.h"
#include "data/sources/idx.h"
#include "data/sources/image_folder.h"
#include "data/sources/manifest.h"
#include "data/sources/mask_folder.h"
#include "data/sources/source_kind.h"
#include "data/splits.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

// The one list of kinds of sources.
constexpr SourceKind kKinds[] = {
    {"idx", "DIR", is_idx_folder, open_idx, idx_splits},
    {"depth", "DIR", is_depth_folder, open_depth_folder, depth_folder_splits},
    {"masks", "DIR", is_mask_folder, open_mask_folder, mask_folder_splits},
    {"folder", "DIR", is_image_folder, open_image_folder, split_folders},
    {"manifest", "FILE", has_manifest_ending, open_manifest, manifest_splits},
};

const SourceKind& kind_of(const SourceName& source) {
  for (const SourceKind& kind : kKinds)
    if (source.kind == kind.name) return kind;
  throw InternalError("there is no kind of source '" + source.kind + "'");
}

/// The kind of a source that is there.
const SourceKind& opened_kind(const SourceName& source) {
  const SourceKind& kind = kind_of(source);
  std::error_code error;
  if (std::string_view(kind.place) == "DIR" && !fs::is_directory(source.root, error))
    throw DataError("data folder ", source.root, " does not exist; set data.root or --data");
  return kind;
}

}  // namespace

SourceName parse_source(const std::string& text) {
  for (const SourceKind& kind : kKinds)
    if (text.starts_with(concat(kind.name, ":")))
      return {kind.name, text.substr(std::string_view(kind.name).size() + 1)};
  for (const SourceKind& kind : kKinds)
    if (kind.recognises(text)) return {kind.name, text};
  throw DataError("data folder ", text, " does not exist");
}

const char* source_choices() {
  static const std::string kChoices = [] {
    std::vector<std::string> names;
    for (const SourceKind& kind : kKinds) names.emplace_back(kind.name);
    return join(names, "|");
  }();
  return kChoices.c_str();
}

std::string source_help() {
  std::string help = "data source (";
  for (const SourceKind& kind : kKinds) help += concat(kind.name, ":", kind.place, ", ");
  return help + "or a path that tells which)";
}

std::unique_ptr<DataSource> open_source(const std::string& text, const std::string& split,
                                        const SourceOptions& options) {
  const SourceName source = parse_source(text);
  return opened_kind(source).open(source.root, split, options);
}

std::vector<std::string> splits_of(const std::string& text, const SourceOptions& options) {
  const SourceName source = parse_source(text);
  std::vector<std::string> splits = opened_kind(source).splits(source.root, options);
  if (splits.empty()) splits.emplace_back(kWholeSplit);
  return splits;
}

}  // namespace vit22b
