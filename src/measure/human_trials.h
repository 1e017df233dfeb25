#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace vit22b {

/// The experiment whose images have one category's shape and another's texture.
constexpr const char* kCueConflict = "cue-conflict";

/// What somebody, or a model, took an image of an experiment for.
struct Trial {
  std::string image;     ///< what the same image is called in everybody's trials
  std::string response;  ///< a category, or "na" for no answer
  std::string category;  ///< the right one
  std::string condition;
  /// Of cue-conflict images the category of their texture; "" for others.
  std::string texture;

  bool is_right() const { return response == category; }
};

/// All trials of one observer in one experiment.
struct Observer {
  std::string name;
  bool is_human = false;  ///< called subject-NN
  std::vector<Trial> trials;
};

/// The observers of each experiment, by the experiment's name.
using Experiments = std::map<std::string, std::vector<Observer>>;

/// Reads a folder of model-vs-human's tables, SET_OBSERVER_session_N.csv, wherever they lie below
/// it: columns `subj`, `object_response`, `category`, `condition` and `imagename` in any order and
/// case, several sessions of an observer together.
///
/// source  bethgelab/model-vs-human; the experiment is the file name's part before the first _
/// throws  DataError naming a folder without such tables, or file and line of a table with other
///         columns or a row with other fields than its header
Experiments read_human_trials(const std::filesystem::path& folder);

/// What an image's name says of a trial: its key, condition, category and texture; the response is
/// left empty. Names are the project's, trial_set_session_condition_category_nn_image.png, or the
/// image's alone (airplane1-bicycle2.png), whose condition is 0.
///
/// categories  that there are
/// throws      DataError for a name without one of them
Trial trial_of(const std::string& experiment, const std::string& image_name,
               const std::vector<std::string>& categories);

/// An observer's trials as the project's table.
std::string trials_csv(const Observer& observer);

/// Whether a condition counts: the project leaves out those without manipulation and those that
/// people fail at.
bool is_kept_condition(const std::string& experiment, const std::string& condition);

}  // namespace vit22b
