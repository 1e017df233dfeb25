#include "data/loader.h"

#include <ATen/ATen.h>
#include <omp.h>
#include <pthread.h>

#include "core/error.h"
#include "core/rng.h"

namespace vit22b {
namespace {

constexpr int64_t kPrefetchBatches = 3;
constexpr uint64_t kReplacementTries = 16;

}  // namespace

int64_t sample_at(uint64_t global_index, int64_t num_samples, uint64_t seed) {
  const auto n = static_cast<uint64_t>(num_samples);
  const RandomPermutation order(n, seed, "epoch " + std::to_string(global_index / n));
  return static_cast<int64_t>(order(global_index % n));
}

void check_bad_samples(size_t bad, int64_t of, double max_bad_fraction, const std::string& last) {
  if (static_cast<double>(bad) <= max_bad_fraction * static_cast<double>(of)) return;
  throw DataError(bad, " of ", of, " samples cannot be used, more than the share of ",
                  max_bad_fraction, " that may be bad; the last: ", last,
                  ". Remove or mend the files, or raise --max-bad-fraction (in a config "
                  "data.max_bad_fraction)");
}

int64_t default_loader_workers() {
  return std::clamp<int64_t>(std::thread::hardware_concurrency() / 2, 1, 8);
}

std::string left_out_text(const BadSample& bad) {
  const bool is_named = bad.reason.find(bad.id) != std::string::npos;
  return concat("left out: ", is_named ? "" : bad.id + ": ", bad.reason);
}

/// One batch in the making.
struct BatchLoader::Slot {
  std::vector<Sample> samples;
  std::vector<char> is_good;
  int64_t missing = 0;  ///< samples not made yet
  Batch batch;
  bool is_ready = false;
};

BatchLoader::BatchLoader(const DataSource& source, const Transforms& transforms,
                         const LoaderOptions& options)
    : source_(source), transforms_(transforms), options_(options) {
  VIT22B_CHECK(options_.batch_size > 0 && source_.size() > 0, "BatchLoader: batch size ",
               options_.batch_size, ", ", source_.size(), " samples");
  if (options_.stride == 0) options_.stride = options_.batch_size;
  if (options_.num_samples == 0) options_.num_samples = source_.size();
  for (int64_t i = 0; i < kPrefetchBatches; ++i) slots_.push_back(std::make_unique<Slot>());
  batch_rows_ = options_.batch_size + (options_.neighbour ? 1 : 0);
  if (options_.num_workers == 0) options_.num_workers = default_loader_workers();
  for (int64_t i = 0; i < options_.num_workers; ++i) workers_.emplace_back([this] { work(); });
}

BatchLoader::~BatchLoader() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  work_ready_.notify_all();
}

int64_t BatchLoader::num_batches() const {
  if (options_.is_training) return INT64_MAX / options_.batch_size;
  return (options_.num_samples + options_.batch_size - 1) / options_.batch_size;
}

void BatchLoader::work() {
  pthread_setname_np(pthread_self(), "loader");
  omp_set_num_threads(1);  // this thread only: the cores belong to the model
  while (true) {
    int64_t ticket = 0;
    {
      std::unique_lock lock(mutex_);
      work_ready_.wait(lock, [&] {
        return is_stopping_ || (next_ticket_ / batch_rows_ < next_batch_ + kPrefetchBatches &&
                                next_ticket_ / batch_rows_ < num_batches());
      });
      if (is_stopping_) return;
      ticket = next_ticket_++;
      Slot& slot = *slots_[static_cast<size_t>(ticket / batch_rows_ % kPrefetchBatches)];
      if (ticket % batch_rows_ == 0) {
        slot.samples.assign(static_cast<size_t>(batch_rows_), {});
        slot.is_good.assign(static_cast<size_t>(batch_rows_), 0);
        slot.missing = batch_rows_;
        slot.is_ready = false;
      }
    }
    const int64_t batch = ticket / batch_rows_;
    try {
      fill(*slots_[static_cast<size_t>(batch % kPrefetchBatches)], batch, ticket % batch_rows_);
    } catch (...) {
      const std::lock_guard lock(mutex_);
      failure_ = std::current_exception();
      is_stopping_ = true;
      batch_ready_.notify_all();
      work_ready_.notify_all();
      return;
    }
  }
}

namespace {

constexpr const char* kImage = "image";

std::string size_text(const at::Tensor& tensor) {
  std::vector<std::string> sizes;
  for (const int64_t size : tensor.sizes()) sizes.push_back(std::to_string(size));
  return join(sizes, " x ");
}

/// Stacks the good samples' fields; all must have one size.
Batch assemble(std::vector<Sample>& samples, const std::vector<char>& is_good) {
  Batch batch;
  std::map<std::string, std::vector<at::Tensor>> fields;
  std::vector<int64_t> labels, indices;
  for (size_t i = 0; i < samples.size(); ++i) {
    if (is_good[i] == 0) continue;
    for (const auto& [name, value] : samples[i].fields) {
      std::vector<at::Tensor>& values = fields[name];
      if (!values.empty() && value.sizes() != values[0].sizes())
        throw DataError(samples[i].id, ": ", name, "s of one batch differ in size (",
                        size_text(value), " after ", size_text(values[0]),
                        "); resize or crop them, and convert with gray or rgb");
      values.push_back(value);
    }
    labels.push_back(samples[i].label);
    indices.push_back(samples[i].index);
    batch.ids.push_back(std::move(samples[i].id));
    if (!samples[i].content.empty()) batch.contents.push_back(std::move(samples[i].content));
  }
  for (const auto& [name, values] : fields) {
    if (values.size() != labels.size()) throw DataError("some samples of a batch have no ", name);
    if (name == kImage)
      batch.images_BCHW = at::stack(values).permute({0, 3, 1, 2}).contiguous();
    else
      batch.fields[name] = at::stack(values);
  }
  if (labels.empty()) return batch;
  batch.labels_B = at::tensor(labels, at::kLong);
  batch.indices_B = at::tensor(indices, at::kLong);
  return batch;
}

}  // namespace

void BatchLoader::fill(Slot& slot, int64_t batch, int64_t position) {
  const int64_t from_first = position < options_.batch_size ? position : *options_.neighbour;
  const uint64_t global_index =
      options_.first_index + static_cast<uint64_t>(batch * options_.stride + from_first);
  const auto place = static_cast<size_t>(position);
  if (options_.is_training ||
      global_index < options_.first_index + static_cast<uint64_t>(options_.num_samples)) {
    bool is_good = false;
    slot.samples[place] = load(global_index, is_good);
    slot.is_good[place] = is_good ? 1 : 0;
  }
  {
    const std::lock_guard lock(mutex_);
    if (--slot.missing > 0) return;
  }
  slot.batch = assemble(slot.samples, slot.is_good);
  slot.samples.clear();  // the batch has copies
  if (options_.is_pinned) slot.batch = slot.batch.pinned();
  const std::lock_guard lock(mutex_);
  slot.is_ready = true;
  batch_ready_.notify_all();
}

Sample BatchLoader::load(uint64_t global_index, bool& is_good) {
  const CounterRng replacement(options_.seed, "replacement", "");
  for (uint64_t attempt = 0; attempt < kReplacementTries; ++attempt) {
    int64_t index = static_cast<int64_t>(global_index);
    if (options_.is_training)
      index =
          attempt == 0
              ? sample_at(global_index, source_.size(), options_.seed)
              : static_cast<int64_t>(replacement.below(global_index * kReplacementTries + attempt,
                                                       static_cast<uint64_t>(source_.size())));
    std::string id = "sample " + std::to_string(index);
    try {
      Sample sample = source_.read(index);
      id = sample.id;
      sample.index = index;
      sample.max_pixels = options_.max_pixels;
      if (options_.hashes_content) sample.content = content_hash(sample);
      transforms_(sample, global_index);
      is_good = true;
      return sample;
    } catch (const UserError& e) {
      if (e.code() != ExitCode::kData) throw;
      note_bad(index, id, e.what());
    }
    if (!options_.is_training) break;
  }
  return {};
}

void BatchLoader::note_bad(int64_t index, const std::string& id, const std::string& reason) {
  const std::lock_guard lock(mutex_);
  bad_.try_emplace(index, BadSample{id, reason, index});
  check_bad_samples(bad_.size(), source_.size(), options_.max_bad_fraction, reason);
}

bool BatchLoader::next(Batch& batch) {
  std::unique_lock lock(mutex_);
  if (next_batch_ >= num_batches()) return false;
  Slot& slot = *slots_[static_cast<size_t>(next_batch_ % kPrefetchBatches)];
  batch_ready_.wait(lock, [&] { return slot.is_ready || failure_ != nullptr; });
  if (failure_ != nullptr) std::rethrow_exception(failure_);
  batch = std::move(slot.batch);
  slot.is_ready = false;
  ++next_batch_;
  work_ready_.notify_all();
  return true;
}

std::vector<BadSample> BatchLoader::bad_samples() const {
  const std::lock_guard lock(mutex_);
  std::vector<BadSample> samples;
  samples.reserve(bad_.size());
  for (const auto& [index, bad] : bad_) samples.push_back(bad);
  return samples;
}

}  // namespace vit22b
