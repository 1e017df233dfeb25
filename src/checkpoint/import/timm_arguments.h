#pragma once
#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "checkpoint/import/timm_args.h"
#include "core/error.h"

namespace vit22b {

/// Arguments by name, of which each is taken once; what is left at the end is unknown.
class TimmArguments {
 public:
  /// throws  CheckpointError for an architecture that timm has not
  explicit TimmArguments(const TimmArgs& args);

  /// Takes an argument; `value` stays, timm's default, where it is absent or null.
  template <class T>
  void take(const char* name, T& value) {
    const nlohmann::ordered_json given = taken(name);
    if (given.is_null()) return;
    const bool is_right = std::is_same_v<T, bool>          ? given.is_boolean()
                          : std::is_same_v<T, int64_t>     ? given.is_number_integer()
                          : std::is_same_v<T, std::string> ? given.is_string()
                                                           : given.is_number();
    if (!is_right)
      throw CheckpointError(place_, ": ", name, " is ", given.dump(), ", want ", want<T>());
    value = given.get<T>();
  }

  /// A size in pixels: one number, or height and width.
  void take_size(const char* name, ImageSize& size) {
    const nlohmann::ordered_json given = taken(name);
    if (given.is_null()) return;
    const nlohmann::ordered_json sides =
        given.is_array() ? given : nlohmann::ordered_json::array({given, given});
    if (sides.size() != 2 || !sides[0].is_number_integer() || !sides[1].is_number_integer())
      throw CheckpointError(place_, ": ", name, " is ", given.dump(),
                            ", want a number, or [height, width]");
    size = {sides[0].get<int64_t>(), sides[1].get<int64_t>()};
  }

  nlohmann::ordered_json taken(const char* name) {
    const auto it = args_.find(name);
    if (it == args_.end()) return nullptr;
    nlohmann::ordered_json value = it->second;
    args_.erase(it);
    return value;
  }

  /// Notes what the blocks here cannot do.
  void refuse(const std::string& what) { refused_.push_back(what); }
  /// The same of a word that is none of `known`.
  void want_word(const char* name, const std::string& word, const std::vector<std::string>& known) {
    if (std::find(known.begin(), known.end(), word) == known.end())
      refuse(concat(name, "=", word.empty() ? "\"\"" : word, " (there are ", join(known, ", "), ")",
                    did_you_mean(word, known)));
  }

  /// throws  CheckpointError for all that was refused, or for an argument that nobody took
  void finish() const {
    if (!refused_.empty())
      throw CheckpointError(place_, ": the architecture '", architecture_,
                            "' is not supported: ", join(refused_, "; "));
    for (const auto& [name, value] : args_)
      throw CheckpointError(place_, ": model_args has the unknown argument '", name, "' (",
                            value.dump(), "), which may change what '", architecture_,
                            "' computes");
  }

 private:
  template <class T>
  static const char* want() {
    return std::is_same_v<T, bool>          ? "true or false"
           : std::is_same_v<T, int64_t>     ? "an integer"
           : std::is_same_v<T, std::string> ? "a string"
                                            : "a number";
  }

  std::map<std::string, nlohmann::ordered_json> args_;
  const std::string place_, architecture_;
  std::vector<std::string> refused_;
};

/// Arguments that all classes have: sizes, channels, classes; and what changes training alone.
void take_sizes(TimmArguments& args, ViTConfig& config);
/// timm's norms have an eps of 1e-6 unless an architecture gives another; underscores and capitals
/// do not count in their names.
void take_norm(TimmArguments& args, ViTConfig& config);
void take_harmless(TimmArguments& args);

/// The models of timm's other classes, from what is left of their arguments.
void take_eva(TimmArguments& args, ViTConfig& config);
void take_distilled(TimmArguments& args, ViTConfig& config);

}  // namespace vit22b
