#include "core/log.h"
#include "eval/class_map.h"
#include "eval/label_map.h"
#include "fuzz/few_pictures.h"
#include "fuzz/input.h"

// A file of --class-map; a data set's class names, and a model's, one a line.
// readers: eval/class_map.cpp eval/label_map.cpp
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace vit22b;
  static const fuzz::Folder folder;
  log_set_terminal(false);
  const auto [file, names, model] = fuzz::files_of<3>(fuzz::text_of(data, size));
  const auto path = folder.write("classes.txt", file);
  const std::vector<std::string> data_names = split(names, '\n'), model_names = split(model, '\n');
  const DataClasses classes{data_names, std::vector<bool>(data_names.size(), true), "the data"};
  const KnownClasses known{static_cast<int64_t>(model_names.size()), model_names, {}, "the model"};
  fuzz::read([&] { read_class_map(path); });
  for (const std::string& map_file : {path.string(), std::string()})
    fuzz::read([&] {
      const LabelMap map = label_map(classes, known, map_file);
      for (const int64_t label : map.classes)
        VIT22B_CHECK(label >= -1 && label < known.count, "a class that is none");
      classes_in_use(classes, map);
    });
  return fuzz::read([&] {
    const auto pictures = std::make_shared<fuzz::FewPictures>();
    const LabelMap map = label_map(classes_of(*pictures, "pictures"), known, path);
    const auto named = in_known_classes(pictures, map, known);
    VIT22B_CHECK(static_cast<int64_t>(named->label_names().size()) >= known.count, "a class fewer");
    named->label(0);
  });
}
