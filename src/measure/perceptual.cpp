#include "measure/perceptual.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "core/error.h"
#include "core/npy_header.h"
#include "core/text_table.h"
#include "data/sources/image_list.h"
#include "eval/finite.h"
#include "measure/defined_number.h"
#include "metrics/interval.h"
#include "model/sequence.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

constexpr const char* kDefinition =
    "mean over triplets of the share of people who took the patch that is nearer; squared "
    "differences of patch tokens of length 1, mean over places, sum over blocks";

/// The one number of an .npy file.
double read_judgement(const fs::path& file) {
  const std::unique_ptr<ByteStore> bytes = open_file_bytes(file, ExitCode::kData);
  NpyHeader header;
  try {
    header = read_npy_header(*bytes, 0, bytes->size(), file.string());
  } catch (const CheckpointError& e) {
    throw DataError(e.what());
  }
  const bool is_one = std::all_of(header.view.shape.begin(), header.view.shape.end(),
                                  [](int64_t size) { return size == 1; });
  if (!is_one || (header.dtype != at::kFloat && header.dtype != at::kDouble))
    throw DataError(file.string(), ": want one number in float32 or float64");
  at::Tensor value = at::empty({1}, header.dtype);
  bytes->read(header.view.begin,
              {static_cast<std::byte*>(value.mutable_data_ptr()), value.nbytes()});
  const double share = value.item<double>();
  if (!(share >= 0 && share <= 1))
    throw DataError(file.string(), ": ", share, " is no share of people, 0 to 1");
  return share;
}

std::vector<std::string> sorted_files(const fs::path& folder) {
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.is_regular_file() && !entry.path().filename().string().starts_with("."))
      files.push_back(entry.path().string());
  std::sort(files.begin(), files.end());
  return files;
}

TwoChoices read_set(const fs::path& folder, const std::string& name) {
  TwoChoices set{name, sorted_files(folder / "ref"), {}, {}, {}};
  for (const std::string& reference : set.reference) {
    const fs::path file = fs::path(reference).filename();
    for (const char* part : {"p0", "p1"})
      if (!fs::exists(folder / part / file))
        throw DataError((folder / part / file).string(), " is not there beside ", reference);
    set.first.push_back((folder / "p0" / file).string());
    set.second.push_back((folder / "p1" / file).string());
    set.second_preferred.push_back(
        read_judgement(folder / "judge" / (file.stem().string() + ".npy")));
  }
  for (const char* part : {"p0", "p1"})
    for (const std::string& patch : sorted_files(folder / part))
      if (!fs::exists(folder / "ref" / fs::path(patch).filename()))
        throw DataError(patch, " has no reference in ", (folder / "ref").string());
  return set;
}

bool is_set(const fs::path& folder) {
  std::error_code error;
  for (const char* part : {"ref", "p0", "p1", "judge"})
    if (!fs::is_directory(folder / part, error)) return false;
  return true;
}

/// A model's distances of both patches to the reference.
struct Distances {
  at::Tensor first_N, second_N;
};

Distances distances_of(LoadedModel& model, const TwoChoices& set, const EvalOptions& options) {
  std::vector<std::string> files;
  for (size_t i = 0; i < set.reference.size(); ++i)
    files.insert(files.end(), {set.reference[i], set.first[i], set.second[i]});
  const std::unique_ptr<DataSource> source = make_image_list(std::move(files));
  std::set<int64_t> taps;
  for (int64_t block = 0; block < model.info.config.depth; ++block) taps.insert(block);
  EvalOptions whole = options;
  whole.batch_size = std::max<int64_t>(1, options.batch_size / 3) * 3;  // triplets stay together
  whole.max_bad_fraction = 1;  // none may be: that is said below, by name
  std::vector<at::Tensor> first, second;
  const auto act = [&](Batch& batch) {
    const bool is_whole = batch.ids.size() % 3 == 0 && batch.indices_B[0].item<int64_t>() % 3 == 0;
    if (!is_whole) return;
    const at::Tensor images = batch.images_BCHW();
    const VitOutputs outputs = model.predictor->features(images, taps);
    BlockTensors parts[3];
    for (const auto& [block, tokens_BTD] : outputs.blocks)
      for (int64_t i = 0; i < 3; ++i)
        parts[i][block] = tokens_BTD.slice(0, i, std::nullopt, 3).cpu().to(at::kFloat);
    const int64_t prefix = sequence_of(model.info.config, images).prefix_tokens;
    first.push_back(perceptual_distance(parts[0], parts[1], prefix));
    second.push_back(perceptual_distance(parts[0], parts[2], prefix));
    check_finite(first.back() + second.back(), "distances", batch.ids);
  };
  const std::vector<BadSample> bad =
      for_each_batch(*source, Transforms(model.info.pp_eval), whole, act);
  if (!bad.empty())
    throw DataError(bad.front().id, " cannot be used (", bad.front().reason,
                    "); of triplets no picture may be missing");
  return {at::cat(first), at::cat(second)};
}

void add_set(const TwoChoices& set, const at::Tensor& agreed_N, uint64_t seed, TextTable& text,
             Result& result) {
  double majority = 0;
  for (const double share : set.second_preferred) majority += std::max(share, 1 - share);
  majority /= static_cast<double>(set.second_preferred.size());
  const double score = agreed_N.mean().item<double>();
  const metrics::Interval interval = metrics::bootstrap_interval(agreed_N.unsqueeze(0), seed);
  const std::string name = "sets." + set.name;
  result.numbers.push_back({{name + ".score", "share", Better::kLarger}, score, interval});
  result.numbers.push_back({{name + ".majority", "share"}, majority});
  result.numbers.push_back({{name + ".num_examples", "triplets"},
                            static_cast<double>(agreed_N.size(0)),
                            {},
                            /*is_count=*/true});
  text.add(
      {set.name, formatted("%.2f %%", 100 * score),
       concat(formatted("%.2f to ", 100 * interval.low), formatted("%.2f", 100 * interval.high)),
       formatted("%.2f %%", 100 * majority), concat(agreed_N.size(0))});
}

}  // namespace

std::vector<TwoChoices> read_two_choices(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) throw DataError(folder.string(), " is no folder");
  std::vector<fs::path> found;
  if (is_set(folder)) found.push_back(folder);
  for (auto it = fs::recursive_directory_iterator(folder, error);
       it != fs::recursive_directory_iterator(); ++it)
    if (it->is_directory() && is_set(it->path())) {
      found.push_back(it->path());
      it.disable_recursion_pending();
    }
  std::sort(found.begin(), found.end());
  if (found.empty())
    throw DataError(folder.string(), " has no folder with ref/, p0/, p1/ and judge/, as BAPPS has");
  std::vector<TwoChoices> sets;
  for (const fs::path& one : found) {
    TwoChoices set = read_set(one, fs::absolute(one).lexically_normal().filename().string());
    for (const TwoChoices& other : sets)
      if (other.name == set.name)
        throw DataError(folder.string(), " has two sets called ", set.name, "; give one of them");
    if (set.reference.empty()) throw DataError((one / "ref").string(), " has no pictures");
    sets.push_back(std::move(set));
  }
  return sets;
}

at::Tensor perceptual_distance(const BlockTensors& first, const BlockTensors& second,
                               int64_t prefix_tokens) {
  constexpr double kLeastLength = 1e-10;  // as LPIPS, for tokens of zeros
  at::Tensor sum_B;
  for (const auto& [block, tokens_BTD] : first) {
    const auto unit = [&](const at::Tensor& tokens) {
      const at::Tensor patches = tokens.slice(1, prefix_tokens).to(at::kDouble);
      return patches / (patches.norm(2, -1, /*keepdim=*/true) + kLeastLength);
    };
    const at::Tensor of_block =
        (unit(tokens_BTD) - unit(second.at(block))).square().sum(-1).mean(-1);
    sum_B = sum_B.defined() ? sum_B + of_block : of_block;
  }
  return sum_B;
}

at::Tensor people_who_agree(const at::Tensor& first_N, const at::Tensor& second_N,
                            const std::vector<double>& second_preferred) {
  const at::Tensor second = at::tensor(second_preferred, at::kDouble);
  return at::where(first_N.lt(second_N), 1 - second,
                   at::where(second_N.lt(first_N), second, at::full_like(second, 0.5)));
}

Result measure_perceptual(LoadedModel& model, const std::vector<TwoChoices>& sets,
                          const EvalOptions& options, uint64_t seed) {
  const at::NoGradGuard no_grad;
  Result result{"perceptual", {}, {}};
  using enum TextTable::Align;
  TextTable text({kLeft, kRight, kLeft, kRight, kRight});
  text.add({"", "2AFC", "95 %", "majority of people", "triplets"});
  double sum = 0;
  for (const TwoChoices& set : sets) {
    const Distances distances = distances_of(model, set, options);
    const at::Tensor agreed_N =
        people_who_agree(distances.first_N, distances.second_N, set.second_preferred);
    add_set(set, agreed_N, seed, text, result);
    sum += agreed_N.mean().item<double>();
  }
  result.lines = text.text();
  add_defined(result, {{"score", "share", Better::kLarger}, sum / static_cast<double>(sets.size())},
              concat("mean over the sets; ", kDefinition));
  return result;
}

}  // namespace vit22b
