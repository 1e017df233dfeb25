#include "train/run_books.h"

#include "core/log.h"
#include "core/text.h"

namespace vit22b {

std::filesystem::path RunBooks::start_in_view() const {
  return mesh_.once([&] {
    return options_.is_resuming ? start_of_run(options_.out, options_.resume).string() : "";
  });
}

void RunBooks::open() {
  constexpr std::string_view kOwn = "own ", kOther = "other ";
  const std::string start = mesh_.once([&] {
    folder_ = std::make_unique<RunFolder>(ops_, options_.out);
    if (!options_.is_resuming && folder_->has_config()) folder_->set_aside();
    if (!options_.is_resuming) return std::string();
    std::filesystem::path from = start_of_run(options_.out, options_.resume);
    if (from.empty()) return std::string();
    from = resolve_checkpoint(from).folder;
    return concat(folder_->checkpoints().holds(from) ? kOwn : kOther, from.string());
  });
  is_start_own_ = start.starts_with(kOwn);
  if (!start.empty()) start_ = start.substr((is_start_own_ ? kOwn : kOther).size());
}

void RunBooks::note_data(const TrainData& data) {
  mesh_.do_once([&] { data_now_ = data_records(data); });
}

void RunBooks::check_resume(const TrainConfig& config) {
  mesh_.do_once([&] {
    sources_now_ = source_hashes(config);
    const auto saved = start_.empty() ? std::nullopt : saved_state(start_);
    const TrainerState then = saved.value_or(TrainerState());
    if (options_.is_resuming && folder_->has_steps())
      folder_->check_same_config(config, moved_sources(then.sources, sources_now_));
    warn_of_other_data(config.data, then.data, data_now_);
    warn_of_other_sources(config, then.sources, sources_now_);
  });
}

void RunBooks::take_up(const TrainConfig& config, const Metric& primary, TrainerState& state) {
  const std::string best = mesh_.once([&] {
    BestSave found;
    if (start_.empty()) {
      folder_->cut_metrics(0);
    } else {
      found = folder_->go_on_from(state, is_start_own_, !options_.resume.empty(), primary);
    }
    folder_->begin(config, options_.command_line);
    return concat(found.step, formatted(" %.17g", found.metric));
  });
  const std::string bad =
      mesh_.once([&] { return start_.empty() ? "" : join(folder_->bad_samples(), "\n"); });
  for (const std::string& line : split(bad, '\n'))
    if (!line.empty()) bad_lines_.insert(line);
  const size_t space = best.find(' ');
  state.best_step = std::stoll(best.substr(0, space));
  state.best_metric = std::stod(best.substr(space + 1));
  state.data = data_now_;
  for (const auto& [option, hash] : sources_now_)
    if (!hash.empty() && state.sources.count(option) == 0) state.sources[option] = hash;
}

void RunBooks::append_metrics(const std::function<std::string()>& line) {
  mesh_.do_once([&] { folder_->append_metrics(line()); });
}

int64_t RunBooks::metrics_bytes() const {
  return std::stoll(mesh_.once([&] { return std::to_string(folder_->metrics_bytes()); }));
}

// All ranks' lists, and those of earlier starts, go into one file.
void RunBooks::note_bad_samples(const std::vector<BadSample>& bad) {
  std::string own;
  for (const BadSample& sample : bad) own += sample.id + "\t" + sample.reason + "\n";
  const size_t num_known = bad_lines_.size();
  // Ranks of the model axis read the same samples.
  for (const std::string& of_rank : mesh_.gather_text(own, MeshAxis::kAll))
    for (const std::string& line : split(of_rank, '\n'))
      if (!line.empty()) bad_lines_.insert(line);
  if (bad_lines_.size() == num_known) return;
  mesh_.do_once([&] { folder_->write_bad_samples({bad_lines_.begin(), bad_lines_.end()}); });
  log_warn(concat(bad_lines_.size(), " unusable samples; see ",
                  (options_.out / "bad_samples.txt").string()));
}

std::filesystem::path RunBooks::latest() const {
  return folder_ != nullptr ? folder_->checkpoints().latest() : std::filesystem::path();
}

}  // namespace vit22b
