#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "eval/result.h"

namespace vit22b {

/// Groups that classes belong to, such as iNaturalist's super-categories.
struct ClassGroups {
  std::vector<std::string> names;  ///< of the groups, sorted; empty for no groups
  std::vector<int64_t> group_of;   ///< by class

  bool is_any() const { return !names.empty(); }
};

/// Reads which group each class belongs to.
///
/// how     "" for none; "prefix": a class's name up to its first '/' (Aves/Acanthis cannabina); or
///         separated values (commas, or tabs in a .tsv) with the columns `class` and `group`
/// throws  DataError for a class without a group; for classes without names
ClassGroups class_groups(const std::string& how, const std::vector<std::string>& class_names);

/// Samples of a class, and how many of them are right, of several draws in the mean.
struct ClassShare {
  int64_t count = 0;
  double right = 0;
};

/// Each group's accuracy over its samples, with Wilson's interval (of as many right ones, rounded).
///
/// name  of the table
ResultTable group_table(const std::string& name, const ClassGroups& groups,
                        const std::vector<ClassShare>& of_classes);

}  // namespace vit22b
