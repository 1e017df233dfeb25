#include "data/sources/image_list.h"

#include "core/checksum.h"
#include "core/error.h"
#include "data/sources/image_folder.h"

namespace vit22b {
namespace {

class ImageList : public DataSource {
 public:
  explicit ImageList(std::vector<std::string> files) : files_(std::move(files)) {
    if (files_.empty()) throw DataError("the list of images is empty");
  }

  int64_t size() const override { return static_cast<int64_t>(files_.size()); }

  Sample read(int64_t index) const override {
    Sample sample;
    sample.id = id(index);
    sample.fields[kImageField].encoded = read_image_bytes(sample.id);
    return sample;
  }

  std::string id(int64_t index) const override { return files_.at(static_cast<size_t>(index)); }
  int64_t label(int64_t) const override { return -1; }
  const std::vector<std::string>& label_names() const override { return no_names_; }
  std::string fingerprint() const override {
    std::vector<std::filesystem::path> paths;
    for (const std::string& file : files_) paths.push_back(std::filesystem::absolute(file));
    return file_fingerprint(paths);
  }

 private:
  std::vector<std::string> files_, no_names_;
};

}  // namespace

std::unique_ptr<DataSource> make_image_list(std::vector<std::string> files) {
  return std::make_unique<ImageList>(std::move(files));
}

}  // namespace vit22b
