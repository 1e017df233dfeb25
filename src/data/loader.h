#pragma once
#include <ATen/core/Tensor.h>

#include <condition_variable>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "data/batch.h"
#include "data/sampler.h"
#include "data/source.h"
#include "data/transforms.h"

namespace vit22b {

/// A sample that could not be used.
struct BadSample {
  std::string id;
  std::string reason;
  int64_t index = -1;  ///< in its source (of several, whichever); -1 where another rank found it
};

/// Refuses more bad samples than a share of a source's.
///
/// last    why the last of them cannot be used
/// throws  DataError saying how many are, and the share
void check_bad_samples(size_t bad, int64_t of, double max_bad_fraction, const std::string& last);

/// "left out: photos/a.jpg: why", the name once.
std::string left_out_text(const BadSample& bad);

/// Half the cores that this process may use, at most 8 and at least 1: the others are the model's.
int64_t default_loader_workers();

/// What to load, and how.
struct LoaderOptions {
  int64_t batch_size = 1;    ///< samples that this loader makes a batch
  int64_t stride = 0;        ///< global samples a batch, over all ranks; 0 means batch_size
  uint64_t first_index = 0;  ///< global index of the first sample
  /// Of training: one sample more at each batch's end, which lies that many global samples after
  /// the batch's first, or before it where negative.
  std::optional<int64_t> neighbour = std::nullopt;
  int64_t num_samples = 0;  ///< of one pass, from first_index on; 0 means all
  int64_t num_workers = 0;  ///< 0 for default_loader_workers()
  uint64_t seed = 0;
  bool is_training = true;  ///< endless shuffled epochs, bad samples replaced; else one pass in
                            ///< order, bad ones left out
  double max_bad_fraction = 0.001;
  int64_t max_pixels = kMaxPixels;  ///< of a picture; larger ones are bad samples
  bool is_pinned = false;       ///< whether batches lie in memory from which a GPU copies by itself
  bool hashes_content = false;  ///< whether batches tell their samples' content_hash
  bool is_ragged = false;       ///< whether a field of one batch may have several sizes
  /// Whose order training has, which outlives the loader; null for uniform_sampler of the source.
  const Sampler* sampler = nullptr;
  /// What is made ahead of the consumer, beyond the batch that comes next: 0 for two batches.
  int64_t ahead_samples = 0;
  int64_t ahead_bytes = int64_t{1} << 30;  ///< of decoded values, before a further one begins
};

/// Worker threads that read, decode and transform ahead of the consumer. The state of a stream is
/// one integer, the global index; batches do not depend on the number of workers.
class BatchLoader {
 public:
  /// source and transforms outlive the loader.
  BatchLoader(const DataSource& source, const Transforms& transforms, const LoaderOptions& options);
  /// The same of several sources, which options.sampler chooses among.
  BatchLoader(std::vector<const DataSource*> sources, const Transforms& transforms,
              const LoaderOptions& options);
  ~BatchLoader();
  BatchLoader(const BatchLoader&) = delete;
  BatchLoader& operator=(const BatchLoader&) = delete;

  /// The next batch, waiting for it; false at the end of a pass.
  ///
  /// throws  DataError when more than max_bad_fraction of the samples cannot be used, naming one
  bool next(Batch& batch);
  /// Distinct bad samples so far.
  std::vector<BadSample> bad_samples() const;
  int64_t num_batches() const;

 private:
  struct Slot;
  void work();
  void fill(Slot& slot, int64_t batch, int64_t position);
  Sample load(uint64_t global_index, bool& is_good);
  SampleAddress address_of(uint64_t global_index, uint64_t attempt) const;
  void note_bad(const SampleAddress& address, const std::string& id, const std::string& reason);
  bool may_begin() const;
  int64_t num_slots() const { return static_cast<int64_t>(slots_.size()); }

  std::vector<const DataSource*> sources_;
  const Transforms& transforms_;
  LoaderOptions options_;
  int64_t batch_rows_ = 1;  ///< samples that are read for a batch
  mutable std::mutex mutex_;
  std::condition_variable work_ready_;
  std::condition_variable batch_ready_;
  std::vector<std::unique_ptr<Slot>> slots_;
  int64_t next_ticket_ = 0;
  int64_t next_batch_ = 0;
  bool is_stopping_ = false;
  std::exception_ptr failure_;
  int64_t num_samples_ = 0;  ///< of all sources
  int64_t bytes_ahead_ = 0;  ///< of what is made and not taken yet
  std::unique_ptr<Sampler> own_sampler_;
  std::map<std::pair<int64_t, int64_t>, BadSample> bad_;  ///< by source and index
  std::vector<std::jthread> workers_;
};

}  // namespace vit22b
