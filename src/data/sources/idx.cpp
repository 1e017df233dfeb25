#include "data/sources/idx.h"

#include <ATen/ATen.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <set>

#include "core/checked.h"
#include "core/checksum.h"
#include "core/error.h"
#include "core/file.h"
#include "core/text.h"
#include "data/class_names.h"
#include "data/sources/picture_walk.h"
#include "data/splits.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

constexpr uint32_t kImageMagic = 0x00000803;
constexpr uint32_t kLabelMagic = 0x00000801;
constexpr int64_t kMaxBytes = int64_t{4} << 30;
constexpr std::string_view kImagesRest = "-images-idx3-ubyte";
constexpr std::string_view kLabelsRest = "-labels-idx1-ubyte";

std::vector<std::string> split_prefixes(const std::string& split) {
  if (split == "test" || split == "t10k") return {"t10k", "test"};
  return {split};
}

fs::path find_file(const fs::path& folder, const std::string& split, std::string_view rest) {
  for (const std::string& prefix : split_prefixes(split))
    for (const char* ending : {"", ".gz"}) {
      const fs::path path = folder / concat(prefix, rest, ending);
      std::error_code error;
      if (fs::exists(path, error)) return path;
    }
  throw DataError("no file ", (folder / concat(split_prefixes(split)[0], rest)).string(),
                  "[.gz]: the split '", split, "' is not in this folder");
}

/// A gzip stream (or plain file) that must hold exactly the bytes that its header announces.
class IdxReader {
 public:
  explicit IdxReader(const fs::path& path)
      : path_(path), file_(gzdopen(dup(ReadableFile(path, ExitCode::kData).descriptor()), "rb")) {
    if (file_ == nullptr)
      throw DataError("cannot open ", path.string(), ": ", std::strerror(errno));
  }
  ~IdxReader() { gzclose(file_); }
  IdxReader(const IdxReader&) = delete;
  IdxReader& operator=(const IdxReader&) = delete;

  void read(uint8_t* out, int64_t size) {
    while (size > 0) {
      const int got = gzread(file_, out, static_cast<unsigned>(std::min<int64_t>(size, 1 << 30)));
      if (got <= 0) {
        int code = 0;
        const char* reason = gzerror(file_, &code);
        throw DataError(path_.string(), " is cut short or damaged: ", size, " bytes are missing",
                        code == Z_OK || code == Z_BUF_ERROR ? "" : concat(" (", reason, ")"));
      }
      out += got;
      size -= got;
    }
  }
  uint32_t read_word() {
    uint8_t bytes[4];
    read(bytes, 4);
    return uint32_t{bytes[0]} << 24 | uint32_t{bytes[1]} << 16 | uint32_t{bytes[2]} << 8 | bytes[3];
  }
  void expect_magic(uint32_t magic) {
    const uint32_t found = read_word();
    if (found != magic)
      throw DataError(path_.string(), " is no idx file of this kind: its first word is ", found,
                      ", want ", magic);
  }
  void expect_end() {
    uint8_t extra = 0;
    if (gzread(file_, &extra, 1) > 0)
      throw DataError(path_.string(), " has more bytes than its header announces");
  }

 private:
  fs::path path_;
  gzFile file_;
};

/// A label file's bytes. They are read in pieces, for a header may announce more than there is.
std::vector<uint8_t> read_labels(const fs::path& path) {
  constexpr size_t kPiece = size_t{1} << 20;
  IdxReader reader(path);
  reader.expect_magic(kLabelMagic);
  std::vector<uint8_t> labels;
  for (size_t left = reader.read_word(); left > 0;) {
    const size_t size = std::min(left, kPiece), at = labels.size();
    labels.resize(at + size);
    reader.read(labels.data() + at, static_cast<int64_t>(size));
    left -= size;
  }
  reader.expect_end();
  return labels;
}

/// Fashion-MNIST's names (Xiao et al. 2017).
const std::vector<std::string>& fashion_names() {
  static const std::vector<std::string> names = {"T-shirt/top", "Trouser",   "Pullover", "Dress",
                                                 "Coat",        "Sandal",    "Shirt",    "Sneaker",
                                                 "Bag",         "Ankle boot"};
  return names;
}

/// xxh3-128 of Fashion-MNIST's 60,000 and 10,000 labels: what the set is told by.
constexpr std::array kFashionLabels = {"1399af0512a1d47946e784b61aa2b893",
                                       "9f527d901ce4ec94f3627f35e9cae75f"};

/// The names of a folder's classes by the labels of all its splits.
std::vector<std::string> read_label_names(const fs::path& folder) {
  int64_t count = 0;
  bool is_fashion = false;
  for (const std::string& split : idx_splits(folder)) {
    const std::vector<uint8_t> labels = read_labels(find_file(folder, split, kLabelsRest));
    for (const uint8_t label : labels) count = std::max(count, int64_t{label} + 1);
    const std::string hash = xxh3_128(std::as_bytes(std::span(labels)));
    is_fashion = is_fashion || std::find(kFashionLabels.begin(), kFashionLabels.end(), hash) !=
                                   kFashionLabels.end();
  }
  return is_fashion && count == static_cast<int64_t>(fashion_names().size())
             ? fashion_names()
             : numbered_names(count);
}

class IdxSource : public DataSource {
 public:
  IdxSource(const fs::path& folder, const std::string& split) {
    const fs::path image_path = find_file(folder, split, kImagesRest);
    const fs::path label_path = find_file(folder, split, kLabelsRest);
    labels_ = read_labels(label_path);
    read_images(image_path, label_path);
    names_ = read_label_names(folder);
    place_ = image_path.string();
    fingerprint_ = file_fingerprint({fs::canonical(image_path), fs::canonical(label_path)}) +
                   hash_of_text(join(names_, "/"));
  }

  int64_t size() const override { return static_cast<int64_t>(labels_.size()); }

  Sample read(int64_t index) const override {
    VIT22B_CHECK(index >= 0 && index < size(), "idx source: index ", index, " of ", size());
    Sample sample;
    sample.fields[kImageField].value = images_[index].unsqueeze(-1).clone();
    sample.label = labels_[static_cast<size_t>(index)];
    sample.id = concat(place_, "#", index);
    return sample;
  }

  int64_t label(int64_t index) const override { return labels_.at(static_cast<size_t>(index)); }
  const std::vector<std::string>& label_names() const override { return names_; }
  std::string fingerprint() const override { return fingerprint_; }
  SourceIdentity identity() const override {
    const std::span<const std::byte> pixels(static_cast<const std::byte*>(images_.const_data_ptr()),
                                            images_.nbytes());
    return {hash_of_text(join(names_, "/") + xxh3_128(std::as_bytes(std::span(labels_)))),
            xxh3_128(pixels)};
  }
  int64_t held_bytes() const override { return static_cast<int64_t>(images_.nbytes()); }

 private:
  void read_images(const fs::path& path, const fs::path& label_path) {
    IdxReader reader(path);
    reader.expect_magic(kImageMagic);
    const int64_t count = reader.read_word(), height = reader.read_word(),
                  width = reader.read_word();
    if (count != size())
      throw DataError(path.string(), " holds ", count, " images, ", label_path.string(), " holds ",
                      size(), " labels");
    const auto pixels = checked_mul(height, width);
    const auto bytes = pixels ? checked_mul(count, *pixels) : std::nullopt;
    if (!bytes || *bytes > kMaxBytes)
      throw DataError(path.string(), ": ", count, " images of ", height, "x", width,
                      " are too many");
    // A few bytes' header must not fill the memory: deflate makes at most 258 bytes of 2 bits.
    constexpr int64_t kMostExpansion = 1032;
    if (*bytes / kMostExpansion > static_cast<int64_t>(fs::file_size(path)))
      throw DataError(path.string(), " is cut short or damaged: its header announces ", *bytes,
                      " bytes, the file has ", fs::file_size(path));
    images_ = at::empty({count, height, width}, at::kByte);
    reader.read(images_.data_ptr<uint8_t>(), *bytes);
    reader.expect_end();
  }

  at::Tensor images_;  // uint8 [N, H, W]
  std::vector<uint8_t> labels_;
  std::vector<std::string> names_;
  std::string place_, fingerprint_;
};

}  // namespace

bool is_idx_folder(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) return false;
  const auto entries = visible_entries(folder.string());
  return std::any_of(entries.begin(), entries.end(), [](const fs::directory_entry& entry) {
    return entry.path().filename().string().find(kImagesRest) != std::string::npos;
  });
}

std::vector<std::string> idx_splits(const fs::path& folder, const SourceOptions&) {
  std::set<std::string> splits;
  for (const fs::directory_entry& entry : visible_entries(folder.string())) {
    const std::string name = entry.path().filename().string();
    const size_t at = name.find(kImagesRest);
    if (at == std::string::npos || at == 0) continue;
    const std::string split = name.substr(0, at);
    splits.insert(split == "t10k" ? "test" : split);
  }
  return {splits.begin(), splits.end()};
}

std::unique_ptr<DataSource> open_idx(const fs::path& folder, const std::string& split,
                                     const SourceOptions&) {
  const std::vector<std::string> splits = idx_splits(folder);
  if (!splits.empty()) check_split(folder.string(), split == "t10k" ? "test" : split, splits);
  return std::make_unique<IdxSource>(folder, split);
}

}  // namespace vit22b
