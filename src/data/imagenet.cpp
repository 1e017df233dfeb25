#include "data/imagenet.h"

#include "core/error.h"
#include "core/text.h"
#include "data/delimited.h"
#include "data/name_texts.h"

namespace vit22b {
namespace {

/// A set of classes that models of timm have been trained on.
struct ClassSet {
  const char* dataset;  ///< as tags say it
  int64_t num_classes;
  const char* file;
};

// source  timm/data/imagenet_info.py
constexpr ClassSet kSets[] = {
    {"in1k", 1000, "imagenet_synsets"},           {"in12k", 11821, "imagenet12k_synsets"},
    {"in21k", 21843, "imagenet21k_goog_synsets"}, {"in21k", 11221, "imagenet21k_miil_synsets"},
    {"in22k", 21841, "imagenet22k_synsets"},      {"in21k", 21841, "imagenet22k_synsets"}};

std::map<std::string, std::string> names_by_wnid() {
  std::map<std::string, std::string> names;
  for (const std::string& line : lines_of(name_texts().at("imagenet_synset_to_lemma"))) {
    const size_t tab = line.find('\t');
    names.emplace(line.substr(0, tab), trim(line.substr(tab + 1)));
  }
  return names;
}

ImageNetClasses classes_of(const ClassSet& set) {
  ImageNetClasses classes{lines_of(name_texts().at(set.file)), {}};
  const std::map<std::string, std::string> names = names_by_wnid();
  for (const std::string& wnid : classes.wnids) classes.names.push_back(names.at(wnid));
  VIT22B_CHECK(static_cast<int64_t>(classes.wnids.size()) == set.num_classes, set.file, " has ",
               classes.wnids.size(), " classes");
  return classes;
}

}  // namespace

std::optional<ImageNetClasses> imagenet_classes(const PretrainedTag& tag) {
  const std::vector<std::string> parts = split(tag.text, '_');
  for (const ClassSet& set : kSets)
    if (set.num_classes == tag.num_classes && (parts.empty() || parts.back() == set.dataset))
      return classes_of(set);
  return std::nullopt;
}

}  // namespace vit22b
