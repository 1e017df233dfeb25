#include "data/sources/idx.h"

#include <ATen/ATen.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>

#include "core/checked.h"
#include "core/checksum.h"
#include "core/error.h"
#include "core/text.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

constexpr uint32_t kImageMagic = 0x00000803;
constexpr uint32_t kLabelMagic = 0x00000801;
constexpr int64_t kMaxBytes = int64_t{4} << 30;

std::vector<std::string> split_prefixes(const std::string& split) {
  if (split == "test" || split == "t10k") return {"t10k", "test"};
  return {split};
}

fs::path find_file(const fs::path& folder, const std::string& split, const std::string& rest) {
  for (const std::string& prefix : split_prefixes(split))
    for (const char* ending : {"", ".gz"})
      if (fs::exists(folder / (prefix + rest + ending))) return folder / (prefix + rest + ending);
  throw DataError("no file ", (folder / (split_prefixes(split)[0] + rest)).string(),
                  "[.gz]: the split '", split, "' is not in this folder");
}

/// A gzip stream (or plain file) that must hold exactly the bytes that its header announces.
class IdxReader {
 public:
  explicit IdxReader(const fs::path& path) : path_(path), file_(gzopen(path.c_str(), "rb")) {
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

std::vector<std::string> read_label_names(const fs::path& folder, int64_t count) {
  // Fashion-MNIST's own names (Xiao et al. 2017); other idx sets are numbered.
  static const std::vector<std::string> kFashion = {
      "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
      "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};
  if (folder.string().find("fashion") != std::string::npos && count == 10) return kFashion;
  std::vector<std::string> names;
  names.reserve(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) names.push_back(std::to_string(i));
  return names;
}

class IdxSource : public DataSource {
 public:
  IdxSource(const fs::path& folder, const std::string& split) {
    const fs::path image_path = find_file(folder, split, "-images-idx3-ubyte");
    const fs::path label_path = find_file(folder, split, "-labels-idx1-ubyte");
    read_labels(label_path);
    read_images(image_path, label_path);
    const uint8_t largest = labels_.empty() ? 0 : *std::max_element(labels_.begin(), labels_.end());
    names_ = read_label_names(folder, int64_t{largest} + 1);
    place_ = image_path.string();
    fingerprint_ = file_fingerprint({image_path, label_path});
  }

  int64_t size() const override { return static_cast<int64_t>(labels_.size()); }

  Sample read(int64_t index) const override {
    VIT22B_CHECK(index >= 0 && index < size(), "idx source: index ", index, " of ", size());
    Sample sample;
    sample.fields["image"] = images_[index].unsqueeze(-1).clone();
    sample.label = labels_[static_cast<size_t>(index)];
    sample.id = concat(place_, "#", index);
    return sample;
  }

  const std::vector<std::string>& label_names() const override { return names_; }
  std::string fingerprint() const override { return fingerprint_; }
  int64_t held_bytes() const override { return static_cast<int64_t>(images_.nbytes()); }

 private:
  void read_labels(const fs::path& path) {
    IdxReader reader(path);
    reader.expect_magic(kLabelMagic);
    labels_.resize(reader.read_word());
    reader.read(labels_.data(), static_cast<int64_t>(labels_.size()));
    reader.expect_end();
  }

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
  for (const auto& entry : fs::directory_iterator(folder, error))
    if (entry.path().filename().string().find("-images-idx3-ubyte") != std::string::npos)
      return true;
  return false;
}

std::unique_ptr<DataSource> open_idx(const fs::path& folder, const std::string& split) {
  return std::make_unique<IdxSource>(folder, split);
}

}  // namespace vit22b
