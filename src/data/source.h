#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/sample.h"

namespace vit22b {

/// A set of labelled samples of known size; `read` may be called from several threads.
class DataSource {
 public:
  virtual ~DataSource() = default;
  virtual int64_t size() const = 0;
  /// throws  DataError naming the file for a sample that cannot be read
  virtual Sample read(int64_t index) const = 0;
  /// What `read` would give as captions, without the image.
  virtual std::vector<std::string> captions(int64_t) const { return {}; }
  /// Names in the order of labels; indices as text where the source has no names.
  virtual const std::vector<std::string>& label_names() const = 0;
  /// What identifies the samples and their order, so that what was made from them can be found
  /// again: changes when a file's name, size or time of change does.
  virtual std::string fingerprint() const = 0;
  /// Bytes of samples that the source keeps in memory.
  virtual int64_t held_bytes() const { return 0; }
};

/// The halves of SRC: "idx", "folder" or "manifest", and the place.
struct SourceName {
  std::string kind, root;
};
/// throws  DataError for a bare path that is nothing of these
SourceName parse_source(const std::string& text);

/// Opens a split of a source written as SRC on the command line: "idx:DIR", "folder:DIR",
/// "manifest:FILE", or a bare path, recognised.
///
/// throws  DataError naming what was looked for
std::unique_ptr<DataSource> open_source(const std::string& text, const std::string& split);

/// The part [first, first + count) of another source; labels stay.
std::unique_ptr<DataSource> make_subset(std::shared_ptr<const DataSource> whole,
                                        std::vector<int64_t> indices);

}  // namespace vit22b
