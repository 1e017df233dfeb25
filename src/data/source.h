#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/sample.h"

namespace vit22b {

/// What a source's samples are, wherever they lie and whenever they were written.
struct SourceIdentity {
  /// Of the samples' names below the source's place, their order, labels and captions, and the
  /// classes' names: what a part that is drawn of them depends on.
  std::string names;
  /// Of sizes, and of the bytes of some samples.
  std::string contents;
};

/// A set of labelled samples of known size; `read` may be called from several threads.
class DataSource {
 public:
  virtual ~DataSource() = default;
  virtual int64_t size() const = 0;
  /// throws  DataError naming the file for a sample that cannot be read
  virtual Sample read(int64_t index) const = 0;
  /// What `read` would give as id, without the image: a file's path where a sample is one.
  virtual std::string id(int64_t index) const { return "sample " + std::to_string(index); }
  /// What `read` would give as label, without the image.
  virtual int64_t label(int64_t index) const = 0;
  /// What `read` would give as captions, without the image.
  virtual std::vector<std::string> captions(int64_t) const { return {}; }
  /// Names in the order of labels; indices as text where the source has no names.
  virtual const std::vector<std::string>& label_names() const = 0;
  /// What identifies the samples, their order and their labels, so that what was made from them can
  /// be found again: changes when a file's name, size or time of change does, or a class's name.
  virtual std::string fingerprint() const = 0;
  /// The same for who may find the samples at another place, at another time.
  virtual SourceIdentity identity() const { return {fingerprint(), ""}; }
  /// Bytes of samples that the source keeps in memory.
  virtual int64_t held_bytes() const { return 0; }
};

/// The halves of SRC: a kind's name, and the place.
struct SourceName {
  std::string kind, root;
};
/// throws  DataError for a bare path that is nothing of these
SourceName parse_source(const std::string& text);

/// The kinds' names with "|" between them.
const char* source_choices();
/// What SRC may be, for help texts.
std::string source_help();

/// How a source is read where its files leave a choice.
struct SourceOptions {
  /// Whether the folders of folder:ROOT are splits: "yes", "no" (they are classes), or "auto", as
  /// split_folders tells them.
  std::string split_folders = "auto";
  /// Classes without an image are said in a warning; else refused.
  bool allow_empty = true;
};

/// Opens a split of a source written as SRC on the command line: "KIND:PLACE", or a bare path,
/// recognised.
///
/// throws  DataError naming what was looked for; for a split that is not there, those that are
std::unique_ptr<DataSource> open_source(const std::string& text, const std::string& split,
                                        const SourceOptions& options = {});

/// The splits of a source; "train" alone where it has none.
///
/// throws  DataError for a source that is not there
std::vector<std::string> splits_of(const std::string& text, const SourceOptions& options = {});

}  // namespace vit22b
