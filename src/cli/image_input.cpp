#include "cli/image_input.h"

#include <glob.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <iostream>

#include "core/error.h"
#include "core/file.h"
#include "core/text.h"
#include "data/delimited.h"
#include "data/sources/image_list.h"
#include "data/sources/picture_walk.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> images_in(const std::string& folder) {
  FoundPictures found;
  find_pictures(folder, found);
  warn_of_passed_over(folder, found);
  if (found.files.empty()) throw DataError("folder ", folder, " holds no ", kImageEndings, " file");
  return std::move(found.files);
}

// glob() sorts.
std::vector<std::string> matches_of(const std::string& pattern) {
  glob_t found{};
  std::vector<std::string> files;
  if (glob(pattern.c_str(), 0, nullptr, &found) == 0)
    files.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  globfree(&found);
  return files;
}

void add_files(const std::string& word, std::vector<std::string>& files) {
  std::error_code error;
  if (fs::is_directory(word, error)) {
    for (std::string& file : images_in(word)) files.push_back(std::move(file));
  } else if (fs::exists(word, error)) {
    files.push_back(word);
  } else {
    const std::vector<std::string> found = matches_of(word);
    if (found.empty()) throw DataError("image ", word, " does not exist");
    for (const std::string& match : found)
      if (!fs::is_directory(match, error)) files.push_back(match);
  }
}

// A list in which a zero byte ends each path, as `find -print0` writes it, may have any other byte
// in them.
void add_lines(const std::string& whole, std::vector<std::string>& files) {
  const std::string_view text = without_byte_order_mark(whole);
  const bool has_zeros = text.find('\0') != std::string::npos;
  for (const std::string& line : split(text, has_zeros ? '\0' : '\n'))
    if (std::string path = has_zeros ? line : trim(line); !path.empty())
      files.push_back(std::move(path));
}

}  // namespace

void add_image_flags(CLI::App& command, ImageFlags& flags, const char* images_help) {
  command.add_option("images", flags.images, images_help);
  command.add_option(
      "--list", flags.list,
      "file with an image's path a line, or each ended by a zero byte; - for standard "
      "input");
  add_loader_flags(command, flags.loader);
}

LoaderOptions one_pass(const LoaderFlags& flags, const DataSource& source) {
  return {.batch_size = std::min(flags.batch, source.size()),
          .num_workers = flags.workers,
          .is_training = false,
          .max_bad_fraction = flags.max_bad_fraction,
          .max_pixels = flags.max_pixels};
}

std::unique_ptr<DataSource> open_image_files(const std::vector<std::string>& words,
                                             const std::string& list) {
  std::vector<std::string> files;
  for (const std::string& word : words) add_files(word, files);
  if (list == "-") {
    add_lines({std::istreambuf_iterator<char>(std::cin), {}}, files);
  } else if (!list.empty()) {
    add_lines(read_text_or_pipe(list, ExitCode::kData), files);
  }
  return make_image_list(std::move(files));
}

}  // namespace vit22b
