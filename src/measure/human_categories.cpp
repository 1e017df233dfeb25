#include "measure/human_categories.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <span>

#include "core/error.h"

namespace vit22b {
namespace {

constexpr int64_t kImageNetClasses = 1000;

constexpr const char* kNames[] = {"airplane", "bear",  "bicycle", "bird",  "boat", "bottle",
                                  "car",      "cat",   "chair",   "clock", "dog",  "elephant",
                                  "keyboard", "knife", "oven",    "truck"};

/// ImageNet's classes of a category, from the first to the last.
struct Range {
  int64_t first, last;
};
constexpr Range kAirplane[] = {{404, 404}};
constexpr Range kBear[] = {{294, 297}};
constexpr Range kBicycle[] = {{444, 444}, {671, 671}};
constexpr Range kBird[] = {{8, 8},   {10, 16},  {18, 20},   {22, 24},  {80, 83},
                           {87, 96}, {98, 100}, {127, 133}, {135, 145}};
constexpr Range kBoat[] = {{472, 472}, {554, 554}, {625, 625}, {814, 814}, {914, 914}};
constexpr Range kBottle[] = {{440, 440}, {720, 720}, {737, 737},
                             {898, 899}, {901, 901}, {907, 907}};
constexpr Range kCar[] = {{436, 436}, {511, 511}, {817, 817}};
constexpr Range kCat[] = {{281, 286}};
constexpr Range kChair[] = {{423, 423}, {559, 559}, {765, 765}, {857, 857}};
constexpr Range kClock[] = {{409, 409}, {530, 530}, {892, 892}};
constexpr Range kDog[] = {{152, 191}, {193, 203}, {205, 226}, {228, 241}, {243, 250},
                          {252, 257}, {259, 259}, {261, 263}, {265, 268}};
constexpr Range kElephant[] = {{385, 386}};
constexpr Range kKeyboard[] = {{508, 508}, {878, 878}};
constexpr Range kKnife[] = {{499, 499}};
constexpr Range kOven[] = {{766, 766}};
constexpr Range kTruck[] = {{555, 555}, {569, 569}, {656, 656}, {675, 675},
                            {717, 717}, {734, 734}, {864, 864}, {867, 867}};
// In the order of kNames.
constexpr std::span<const Range> kRanges[] = {kAirplane, kBear,  kBicycle, kBird,  kBoat, kBottle,
                                              kCar,      kCat,   kChair,   kClock, kDog,  kElephant,
                                              kKeyboard, kKnife, kOven,    kTruck};

}  // namespace

std::vector<std::string> human_categories() {
  return {std::begin(kNames), std::end(kNames)};
}

CategoryMap category_map(const NamedModel& model) {
  CategoryMap map{.names = human_categories()};
  if (std::ssize(model.wnids) == kImageNetClasses) {
    map.by = "ImageNet's classes";
    for (const std::span<const Range> ranges : kRanges) {
      map.classes.emplace_back();
      for (const auto& [first, last] : ranges)
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

CategoryMap own_categories(const NamedModel& model) {
  CategoryMap map{.names = model.info.label_names, .by = "the model's classes"};
  if (map.names.empty())
    throw CheckpointError("the model's classes have no names; --labels FILE names them");
  for (const std::string& name : map.names) {
    if (name.find_first_of("0123456789_-.") != std::string::npos)
      throw CheckpointError("the class '", name,
                            "' cannot stand in an image's name: want names without digits, _, - "
                            "and . (--labels FILE gives others)");
    map.classes.push_back({std::ssize(map.classes)});
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
