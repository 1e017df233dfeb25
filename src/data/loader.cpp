#include "data/loader.h"

#include <ATen/ATen.h>
#include <omp.h>
#include <pthread.h>

#include "core/error.h"

namespace vit22b {
namespace {

constexpr int64_t kBatchesAhead = 2;  // beyond the one that comes next

int64_t bytes_of(const Sample& sample) {
  int64_t bytes = 0;
  for (const auto& [name, field] : sample.fields)
    if (field.is_decoded()) bytes += static_cast<int64_t>(field.value.nbytes());
  return bytes;
}

}  // namespace

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
  int64_t bytes = 0;    ///< of those that are
  Batch batch;
  bool is_ready = false;
};

BatchLoader::BatchLoader(const DataSource& source, const Transforms& transforms,
                         const LoaderOptions& options)
    : BatchLoader(std::vector<const DataSource*>{&source}, transforms, options) {}

BatchLoader::BatchLoader(std::vector<const DataSource*> sources, const Transforms& transforms,
                         const LoaderOptions& options)
    : sources_(std::move(sources)), transforms_(transforms), options_(options) {
  for (const DataSource* source : sources_) num_samples_ += source->size();
  VIT22B_CHECK(options_.batch_size > 0 && num_samples_ > 0, "BatchLoader: batch size ",
               options_.batch_size, ", ", num_samples_, " samples");
  VIT22B_CHECK(sources_.size() == 1 || (options_.is_training && options_.sampler != nullptr),
               "BatchLoader: several sources without a sampler");
  constexpr int64_t kMostAhead = int64_t{1} << 24;  // samples; each batch of them has a slot
  VIT22B_CHECK(options_.ahead_samples >= 0 && options_.ahead_samples <= kMostAhead,
               "BatchLoader: ", options_.ahead_samples, " samples ahead");
  if (options_.stride == 0) options_.stride = options_.batch_size;
  if (options_.num_samples == 0) options_.num_samples = num_samples_;
  if (options_.sampler == nullptr) {
    own_sampler_ = uniform_sampler(num_samples_, options_.seed);
    options_.sampler = own_sampler_.get();
  }
  batch_rows_ = options_.batch_size + (options_.neighbour ? 1 : 0);
  const int64_t batches_ahead = options_.ahead_samples == 0
                                    ? kBatchesAhead
                                    : (options_.ahead_samples + batch_rows_ - 1) / batch_rows_;
  for (int64_t i = 0; i <= batches_ahead; ++i) slots_.push_back(std::make_unique<Slot>());
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

/// Whether the next sample may be made: of the batch that comes next always, of later ones while
/// there is room.
bool BatchLoader::may_begin() const {
  const int64_t batch = next_ticket_ / batch_rows_;
  if (batch >= num_batches() || batch >= next_batch_ + num_slots()) return false;
  const Slot& next = *slots_[static_cast<size_t>(next_batch_ % num_slots())];
  return batch == next_batch_ || bytes_ahead_ - next.bytes < options_.ahead_bytes;
}

void BatchLoader::work() {
  pthread_setname_np(pthread_self(), "loader");
  omp_set_num_threads(1);  // this thread only: the cores belong to the model
  while (true) {
    int64_t ticket = 0;
    {
      std::unique_lock lock(mutex_);
      work_ready_.wait(lock, [&] { return is_stopping_ || may_begin(); });
      if (is_stopping_) return;
      ticket = next_ticket_++;
      Slot& slot = *slots_[static_cast<size_t>(ticket / batch_rows_ % num_slots())];
      if (ticket % batch_rows_ == 0) {
        slot.samples.assign(static_cast<size_t>(batch_rows_), {});
        slot.is_good.assign(static_cast<size_t>(batch_rows_), 0);
        slot.missing = batch_rows_;
        slot.is_ready = false;
      }
    }
    const int64_t batch = ticket / batch_rows_;
    try {
      fill(*slots_[static_cast<size_t>(batch % num_slots())], batch, ticket % batch_rows_);
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

std::string size_text(const at::Tensor& tensor) {
  std::vector<std::string> sizes;
  for (const int64_t size : tensor.sizes()) sizes.push_back(std::to_string(size));
  return join(sizes, " x ");
}

/// A field of several samples.
struct Column {
  FieldKind kind;
  std::vector<at::Tensor> values;
};

/// As batches have it: images channels first, numbers of pixels without channels.
at::Tensor in_batch(FieldKind kind, const at::Tensor& values) {
  if (kind == FieldKind::kImage) return values.movedim(-1, -3).contiguous();
  const bool is_map = kind == FieldKind::kMask || kind == FieldKind::kDepth;
  return is_map ? values.squeeze(-1) : values;
}

/// One tensor of the samples' values, or, where their sizes differ, one each.
void put_together(Batch& batch, const std::string& name, const Column& column) {
  const auto differs = [&](const at::Tensor& value) {
    return value.sizes() != column.values[0].sizes();
  };
  if (std::none_of(column.values.begin(), column.values.end(), differs)) {
    batch.fields[name] = in_batch(column.kind, at::stack(column.values));
    return;
  }
  for (const at::Tensor& value : column.values)
    batch.ragged[name].push_back(in_batch(column.kind, value));
}

/// The good samples' fields together; all of a field have one size unless they may differ.
Batch assemble(std::vector<Sample>& samples, const std::vector<char>& is_good, bool is_ragged) {
  Batch batch;
  std::map<std::string, Column> columns;
  std::vector<int64_t> labels, indices;
  for (size_t i = 0; i < samples.size(); ++i) {
    if (is_good[i] == 0) continue;
    for (const auto& [name, field] : samples[i].fields) {
      if (!field.is_decoded()) continue;  // no operation wanted it
      Column& column = columns.try_emplace(name, Column{field.kind, {}}).first->second;
      std::vector<at::Tensor>& values = column.values;
      if (!is_ragged && !values.empty() && field.value.sizes() != values[0].sizes())
        throw DataError(samples[i].id, ": ", name, "s of one batch differ in size (",
                        size_text(field.value), " after ", size_text(values[0]),
                        "); resize or crop them, and convert with gray or rgb");
      values.push_back(field.value);
      if (name == kImageField) batch.geometries.push_back(field.geometry);
    }
    labels.push_back(samples[i].label);
    indices.push_back(samples[i].index);
    batch.ids.push_back(std::move(samples[i].id));
    if (!samples[i].content.empty()) batch.contents.push_back(std::move(samples[i].content));
  }
  for (const auto& [name, column] : columns) {
    if (column.values.size() != labels.size())
      throw DataError("some samples of a batch have no ", name);
    put_together(batch, name, column);
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
    const int64_t bytes = bytes_of(slot.samples[place]);
    slot.bytes += bytes;
    bytes_ahead_ += bytes;
    if (--slot.missing > 0) return;
  }
  slot.batch = assemble(slot.samples, slot.is_good, options_.is_ragged);
  slot.samples.clear();  // the batch has copies
  if (options_.is_pinned) slot.batch = slot.batch.pinned();
  const std::lock_guard lock(mutex_);
  slot.is_ready = true;
  batch_ready_.notify_all();
}

SampleAddress BatchLoader::address_of(uint64_t global_index, uint64_t attempt) const {
  if (!options_.is_training) return {0, static_cast<int64_t>(global_index)};
  return attempt == 0 ? options_.sampler->at(global_index)
                      : options_.sampler->instead_of(global_index, attempt);
}

Sample BatchLoader::load(uint64_t global_index, bool& is_good) {
  std::string last;
  for (uint64_t attempt = 0; attempt < kReplacementTries; ++attempt) {
    const SampleAddress address = address_of(global_index, attempt);
    const DataSource& source = *sources_.at(static_cast<size_t>(address.source));
    std::string id = source.id(address.index);
    try {
      Sample sample = source.read(address.index);
      id = sample.id;
      sample.index = address.index;
      sample.max_pixels = options_.max_pixels;
      if (options_.hashes_content) sample.content = content_hash(sample);
      transforms_(sample, global_index);
      is_good = true;
      return sample;
    } catch (const UserError& e) {
      if (e.code() != ExitCode::kData) throw;
      note_bad(address, id, e.what());
      last = e.what();
    }
    if (!options_.is_training) break;
  }
  if (options_.is_training)
    throw DataError("none of ", kReplacementTries,
                    " samples drawn for one place can be used; the "
                    "last one: ",
                    last);
  return {};
}

void BatchLoader::note_bad(const SampleAddress& address, const std::string& id,
                           const std::string& reason) {
  const std::lock_guard lock(mutex_);
  bad_.try_emplace({address.source, address.index}, BadSample{id, reason, address.index});
  check_bad_samples(bad_.size(), num_samples_, options_.max_bad_fraction, reason);
}

bool BatchLoader::next(Batch& batch) {
  std::unique_lock lock(mutex_);
  if (next_batch_ >= num_batches()) return false;
  Slot& slot = *slots_[static_cast<size_t>(next_batch_ % num_slots())];
  batch_ready_.wait(lock, [&] { return slot.is_ready || failure_ != nullptr; });
  if (failure_ != nullptr) std::rethrow_exception(failure_);
  batch = std::move(slot.batch);
  slot.is_ready = false;
  bytes_ahead_ -= slot.bytes;
  slot.bytes = 0;
  ++next_batch_;
  work_ready_.notify_all();
  return true;
}

std::vector<BadSample> BatchLoader::bad_samples() const {
  const std::lock_guard lock(mutex_);
  std::vector<BadSample> samples;
  samples.reserve(bad_.size());
  for (const auto& [address, bad] : bad_) samples.push_back(bad);
  return samples;
}

}  // namespace vit22b
