#include "cli/head_sets.h"

#include "cli/split_choice.h"
#include "core/error.h"
#include "core/log.h"
#include "data/overlap.h"
#include "data/splits.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

TestDraw draw_of(const HeadFlags& flags) {
  return {flags.test_part, flags.folds, flags.common.seed};
}

bool is_drawn(const HeadFlags& flags) {
  return draw_of(flags).is_drawn();
}

void check_words(const HeadFlags& flags) {
  if (is_drawn(flags) && !flags.class_map.empty())
    throw UsageError("--class-map names the test's classes; ",
                     flags.folds > 0 ? "--folds" : "--test-part",
                     " makes the test of the training samples, whose names are the same");
  if (!flags.test_part.empty() && flags.folds > 0)
    throw UsageError("--test-part and --folds both make the test; give one of them");
  if (is_drawn(flags) && (!flags.test.empty() || !flags.test_split.empty()))
    throw UsageError(flags.folds > 0 ? "--folds" : "--test-part",
                     " makes the test of the training samples; leave --test and --test-split away");
  if (!flags.test_part.empty() && !percent(flags.test_part))
    throw UsageError("--test-part is '", flags.test_part, "', want a part such as 20%");
}

HeadSets sets_of(const HeadFlags& flags, LabelledFeatures train, LabelledFeatures test,
                 const std::string& split) {
  HeadSets sets = head_sets(std::move(train), std::move(test), flags.class_map, split);
  sets.train.label_names =
      class_names_of(flags, std::move(sets.train.label_names), sets.num_classes);
  sets.rows = draw_rows(sets.train, draw_of(flags));
  const HeadData first = sets.at(0);
  log_info(concat("trained on ", first.train.size(), " samples, tested on ", first.test.size(),
                  ": ", sets.split));
  return sets;
}

HeadSets open_feature_files(const HeadFlags& flags) {
  LabelledFeatures train = read_features(flags.train);
  if (is_drawn(flags)) return sets_of(flags, train, train, draw_of(flags).name(flags.train));
  std::error_code error;
  if (fs::equivalent(flags.train, flags.test, error))
    log_warn(concat("--train and --test are the same file, ", flags.test,
                    ": the result is that of the training samples"));
  return sets_of(flags, std::move(train), read_features(flags.test), flags.test);
}

/// Of a source that is also trained on, the only split is no test.
std::string split_of_test(const HeadFlags& flags) {
  const std::string& text = flags.test.empty() ? flags.train : flags.test;
  if (!flags.test_split.empty()) return flags.test_split;
  std::error_code error;
  if (!flags.test.empty() &&
      !fs::equivalent(parse_source(flags.train).root, parse_source(flags.test).root, error))
    return chosen_split(text, "", flags.source);
  const std::vector<std::string> splits = splits_of(text, flags.source);
  std::string found = test_split_among(splits);
  if (found.empty()) check_split(text, "test", splits);
  return found;
}

}  // namespace

HeadSources open_head_sources(const HeadFlags& flags) {
  check_words(flags);
  HeadSources sources;
  sources.train = open_source(flags.train, flags.train_split, flags.source);
  sources.train_place = concat(flags.train, ", split '", flags.train_split, "'");
  sources.split = draw_of(flags).name(flags.train_split);
  if (is_drawn(flags)) return sources;
  const std::string& text = flags.test.empty() ? flags.train : flags.test;
  sources.split = split_of_test(flags);
  sources.test = open_source(text, sources.split, flags.source);
  sources.test_place = concat(text, ", split '", sources.split, "'");
  if (sources.test->fingerprint() == sources.train->fingerprint())
    throw DataError(sources.test_place,
                    " is what is trained on, the same samples; give another "
                    "source or split, or make a test of it with --test-part 20% or --folds 5");
  if (flags.checks_overlap) check_overlap(*sources.train, *sources.test);
  return sources;
}

HeadTables open_head_tables(const HeadFlags& flags, const Device& device,
                            const std::vector<std::string>& names) {
  const HeadSources sources = open_head_sources(flags);
  const auto extractor = make_extractor(flags, device, names);
  HeadTables tables{make_features(flags, *extractor, *sources.train), std::nullopt, {}};
  if (sources.test) tables.test = make_features(flags, *extractor, *sources.test);
  LabelledFeatures train = tables.train.labelled(names.front()),
                   test = tables.of_test().labelled(names.front());
  train.place = sources.train_place;
  test.place = sources.test ? sources.test_place : sources.train_place;
  tables.sets = sets_of(flags, std::move(train), std::move(test), sources.split);
  if (flags.checks_overlap && !sources.test)
    check_overlap_of_rows(tables.sets.rows, tables.train.indices(), sources.train);
  return tables;
}

HeadSets open_head_sets(const HeadFlags& flags, const Device& device) {
  if (!is_from_files(flags)) return open_head_tables(flags, device, {flags.feature}).sets;
  check_words(flags);
  if (flags.checks_overlap)
    throw UsageError("--check-overlap compares pictures; files of features have none");
  return open_feature_files(flags);
}

}  // namespace vit22b
