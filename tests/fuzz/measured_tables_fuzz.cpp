#include "core/log.h"
#include "fuzz/few_pictures.h"
#include "fuzz/input.h"
#include "measure/fairness.h"
#include "measure/human_trials.h"
#include "measure/picture_attributes.h"
#include "measure/right_answers.h"

namespace {

using namespace vit22b;

void read_trials(const fuzz::Folder& folder) {
  for (const auto& [experiment, observers] : read_human_trials(folder.path() / "trials"))
    for (const Observer& observer : observers) {
      for (const Trial& trial : observer.trials) {
        (void)trial.is_right();
        is_kept_condition(experiment, trial.condition);
      }
      trials_csv(observer);
    }
}

void check(const RightAnswers& right, int64_t num_classes) {
  for (const int64_t one : right.classes())
    VIT22B_CHECK(one >= 0 && one < num_classes, "a class that is none");
  for (const int64_t set : right.set_of)
    VIT22B_CHECK(set >= -1 && set < std::ssize(right.sets), "a set that is none");
}

}  // namespace

// A table of groups, people's trials, and JSON that says which classes are right.
// readers: measure/fairness_table.cpp measure/named_rows.cpp measure/human_trials.cpp
// readers: measure/right_answers.cpp measure/picture_attributes.cpp
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const fuzz::Folder folder;
  log_set_terminal(false);
  const auto [groups, trials, classes] = fuzz::files_of<3>(fuzz::text_of(data, size));
  const auto table = folder.write("groups.csv", groups);
  folder.write("trials/cue-conflict_subject-01_session_1.csv", trials);
  const auto map = folder.write("classes.json", classes);
  const auto partition = folder.write("partition.txt", classes);
  fuzz::read([&] { read_fairness_table(table, {}); });
  fuzz::read([&] { read_trials(folder); });
  for (const std::string_view text : {groups, trials})
    fuzz::read([&] {
      PictureAttributes attributes =
          read_picture_attributes(folder.write("attributes.txt", text), "label", "group");
      if (attributes.parts.empty()) draw_parts(attributes, 1);
      VIT22B_CHECK(attributes.parts.size() == attributes.labels.size(), "a picture without a part");
      read_partition(partition, attributes);
    });
  const fuzz::FewPictures pictures;
  const KnownClasses known{3, {"a", "b", "c"}, {"n1", "n2", "n3"}, "the model"};
  fuzz::read([&] { check(right_by_class(pictures, "pictures", known, map), known.count); });
  return fuzz::read([&] { check(right_by_picture(pictures, map, known.count), known.count); });
}
