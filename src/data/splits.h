#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace vit22b {

/// The only split of a source that has none.
constexpr const char* kWholeSplit = "train";

/// True for what splits are called: train, val, validation, test and their like, in capitals too,
/// with a number behind them too (val2017).
bool is_split_name(const std::string& name);

/// The split that a test is made on: "test" where there is one, else "val", else a name of theirs;
/// "" where there is none.
std::string test_split_among(const std::vector<std::string>& splits);

/// Checks that a source has a split.
///
/// throws  DataError that lists what there is and says what to give
void check_split(const std::string& place, const std::string& split,
                 const std::vector<std::string>& splits);

/// 0.05 for "5%"; nothing for a text that is no part between 0% and 100%.
std::optional<double> percent(const std::string& text);

/// Draws a part of each class: of n samples round(part n), at least 1 and at most n - 1; of a
/// single one none. The draw is keyed by the seed and the class.
///
/// labels   by sample; samples without a class, -1, are one
/// returns  by sample, whether it is drawn
std::vector<bool> draw_part(const std::vector<int64_t>& labels, double part, uint64_t seed);

/// Deals each class out over the folds, so that every fold has its share of every class and folds
/// differ by one sample at most.
///
/// returns  by sample, the fold that tests it: 0 to folds - 1
std::vector<int64_t> draw_folds(const std::vector<int64_t>& labels, int64_t folds, uint64_t seed);

}  // namespace vit22b
