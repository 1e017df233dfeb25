#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "checkpoint/container/safetensors_file.h"
#include "data/batch.h"

namespace vit22b {

/// Which samples a file's rows are, as its metadata says it.
struct SampleNames {
  std::vector<std::string> ids, contents;  ///< content_hash of each, or empty where nobody knows

  void add(const Batch& batch);
  /// `paths` and, where known, `contents`: JSON lists.
  std::map<std::string, std::string> metadata() const;
};
/// `contents` alone: nothing where nobody knows them.
std::map<std::string, std::string> contents_metadata(const std::vector<std::string>& contents);
/// `label_names`: what the numbers of `labels` stand for; nothing where the data have no names.
std::map<std::string, std::string> label_names_metadata(const std::vector<std::string>& names);
/// A list of texts that read_texts finds; nothing where it is empty.
std::map<std::string, std::string> texts_metadata(const std::string& key,
                                                  const std::vector<std::string>& texts);
/// Labels or predictions of a file: whole numbers, of any dtype.
///
/// throws  DataError naming the file where a value is none; CheckpointError where there is no such
///         tensor
at::Tensor read_whole_numbers(const SafetensorsFile& file, const std::string& name);
/// A list of texts in a file's metadata; empty where it has none of that name.
///
/// throws  CheckpointError for what is no list of texts
std::vector<std::string> read_texts(const SafetensorsFile& file, const std::string& key);
/// The contents of a file with `num_rows` rows; empty where it does not say them.
///
/// throws  CheckpointError for another number of them, or what is no list of texts
std::vector<std::string> read_contents(const SafetensorsFile& file, int64_t num_rows);

}  // namespace vit22b
