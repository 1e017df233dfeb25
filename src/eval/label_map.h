#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/source.h"

namespace vit22b {

/// The classes that a data set's labels are of.
struct DataClasses {
  std::vector<std::string> names;  ///< numbers as text, or nothing, where they have no names
  std::vector<bool> has_samples;   ///< by label; a class without any need not be known
  std::string place;               ///< for messages
};

/// Looks through a source's labels, which must all be there.
///
/// throws  DataError for a sample without a label, or a source without classes
DataClasses classes_of(const DataSource& source, const std::string& place);

/// The classes that labels are to mean: a model's, or a training set's.
struct KnownClasses {
  int64_t count = 0;
  std::vector<std::string> names;        ///< as DataClasses has them
  std::vector<std::string> other_names;  ///< a second one for each, such as WordNet's; or nothing
  std::string place;                     ///< for messages: "the model"
  std::string hint = {};                 ///< what can be done about others, to end a message with
};

/// Which known class each of a data set's labels means.
struct LabelMap {
  std::vector<int64_t> classes;  ///< by label; -1 for an unknown class without samples
  std::string by;                ///< what they were matched by: name, number, order, class map

  bool is_identity() const;
};

/// Matches a data set's classes with known ones.
///
/// By name where both have names. Classes that have numbers alone are those numbers. A data set
/// with names is taken in its own order for a model without, where their counts agree, with a
/// warning.
///
/// class_map  a file as read_class_map has it, which decides instead; "" for none
/// throws     DataError naming a class of the data that is not known, or that two known ones are
///            called
LabelMap label_map(const DataClasses& data, const KnownClasses& known,
                   const std::string& class_map = "");

/// A source whose labels are known classes by a map; the source itself where it changes nothing.
std::shared_ptr<const DataSource> in_known_classes(std::shared_ptr<const DataSource> source,
                                                   const LabelMap& map, const KnownClasses& known);

/// The known classes that a data set has samples of, in order.
std::vector<int64_t> classes_in_use(const DataClasses& data, const LabelMap& map);

}  // namespace vit22b
