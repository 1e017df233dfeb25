#include "cli/given_words.h"

#include <algorithm>

#include "checkpoint/checkpoint_path.h"

namespace vit22b {
namespace {

/// Commands whose first argument is a checkpoint; to the others model.KEY=VALUE is a config's.
constexpr const char* kReaders[] = {"predict", "features", "explain", "retrieve", "zeroshot",
                                    "eval",    "probe",    "fewshot", "knn",      "compare"};

/// "--tower NAME" is said of a checkpoint, as a key is.
std::vector<std::string> with_towers_as_keys(const std::vector<std::string>& words) {
  constexpr std::string_view kTower = "--tower";
  std::vector<std::string> kept;
  for (size_t i = 0; i < words.size(); ++i) {
    if (words[i] == kTower && i + 1 < words.size())
      kept.push_back("model.tower=" + words[++i]);
    else if (words[i].starts_with("--tower="))
      kept.push_back("model.tower=" + words[i].substr(kTower.size() + 1));
    else
      kept.push_back(words[i]);
  }
  return kept;
}

bool is_model_key(const std::string& word) {
  constexpr std::string_view kModel = "model.";
  return word.starts_with(kModel) && word.find('=') != std::string::npos;
}

// The word that a key behind `words` belongs to; words.size() where there is none. Of two
// checkpoints to compare it is the one before the key.
size_t checkpoint_before(const std::vector<std::string>& words) {
  const size_t last = words.size() - 1;
  if (words[0] == "compare" && last >= 1 && may_be_checkpoint(words[last])) return last;
  for (size_t i = 1; i < words.size(); ++i)
    if (!words[i].starts_with('-')) return i;
  return words.size();
}

}  // namespace

std::vector<std::string> with_given_keys(std::vector<std::string> words) {
  if (words.empty() ||
      std::find(std::begin(kReaders), std::end(kReaders), words[0]) == std::end(kReaders))
    return words;
  std::vector<std::string> kept;
  const bool has_store = words[0] != "features" && words[0] != "compare";  // these have their own
  for (std::string& word : with_towers_as_keys(words)) {
    if (has_store && word.starts_with("store=")) word.insert(0, "--");
    const size_t of = is_model_key(word) ? checkpoint_before(kept) : kept.size();
    if (of == kept.size()) {
      kept.push_back(std::move(word));
      continue;
    }
    kept[of] +=
        (kept[of].find('?') == std::string::npos ? "?" : "&") + word.substr(word.find('.') + 1);
  }
  return kept;
}

}  // namespace vit22b
