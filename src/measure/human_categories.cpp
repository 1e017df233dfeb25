#include "measure/human_categories.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "core/error.h"

namespace vit22b {
namespace {

constexpr int64_t kImageNetClasses = 1000;

struct Range {
  int64_t first, last;
};

struct Category {
  const char* name;
  std::vector<Range> classes;  ///< of ImageNet's
};

const std::vector<Category>& categories() {
  static const std::vector<Category> all = {
      {"airplane", {{404, 404}}},
      {"bear", {{294, 297}}},
      {"bicycle", {{444, 444}, {671, 671}}},
      {"bird",
       {{8, 8},
        {10, 16},
        {18, 20},
        {22, 24},
        {80, 83},
        {87, 96},
        {98, 100},
        {127, 133},
        {135, 145}}},
      {"boat", {{472, 472}, {554, 554}, {625, 625}, {814, 814}, {914, 914}}},
      {"bottle", {{440, 440}, {720, 720}, {737, 737}, {898, 899}, {901, 901}, {907, 907}}},
      {"car", {{436, 436}, {511, 511}, {817, 817}}},
      {"cat", {{281, 286}}},
      {"chair", {{423, 423}, {559, 559}, {765, 765}, {857, 857}}},
      {"clock", {{409, 409}, {530, 530}, {892, 892}}},
      {"dog",
       {{152, 191},
        {193, 203},
        {205, 226},
        {228, 241},
        {243, 250},
        {252, 257},
        {259, 259},
        {261, 263},
        {265, 268}}},
      {"elephant", {{385, 386}}},
      {"keyboard", {{508, 508}, {878, 878}}},
      {"knife", {{499, 499}}},
      {"oven", {{766, 766}}},
      {"truck",
       {{555, 555},
        {569, 569},
        {656, 656},
        {675, 675},
        {717, 717},
        {734, 734},
        {864, 864},
        {867, 867}}},
  };
  return all;
}

}  // namespace

const std::vector<std::string>& human_categories() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const Category& category : categories()) list.emplace_back(category.name);
    return list;
  }();
  return names;
}

CategoryMap category_map(const NamedModel& model) {
  CategoryMap map;
  if (std::ssize(model.wnids) == kImageNetClasses) {
    map.by = "ImageNet's classes";
    for (const Category& category : categories()) {
      map.classes.emplace_back();
      for (const auto& [first, last] : category.classes)
        for (int64_t c = first; c <= last; ++c) map.classes.back().push_back(c);
    }
    return map;
  }
  map.by = "the model's own names";
  const std::vector<std::string>& own = model.info.label_names;
  for (const std::string& name : human_categories()) {
    const auto it = std::find(own.begin(), own.end(), name);
    if (it == own.end())
      throw CheckpointError("the model's classes are not ImageNet's thousand, and none is called '",
                            name, "': people chose from ", join(human_categories(), ", "));
    map.classes.push_back({it - own.begin()});
  }
  return map;
}

at::Tensor decided_categories(const at::Tensor& probabilities_NC, const CategoryMap& map) {
  std::vector<at::Tensor> means;
  for (const std::vector<int64_t>& classes : map.classes)
    means.push_back(probabilities_NC.index_select(1, at::tensor(classes, at::kLong)).mean(1));
  // argmax gives the first of equal ones: look from behind.
  std::reverse(means.begin(), means.end());
  return std::ssize(means) - 1 - at::stack(means, 1).argmax(1);
}

}  // namespace vit22b
