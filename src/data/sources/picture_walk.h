#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace vit22b {

/// What is in a folder, in no order, without names that begin with a dot.
///
/// throws  DataError for a folder that cannot be listed
std::vector<std::filesystem::directory_entry> visible_entries(const std::string& folder);

/// What a walk through folders took and what it passed over.
struct FoundPictures {
  std::vector<std::string> files;
  std::map<std::string, int64_t> passed_over;  ///< other files, by ending
};

/// Adds the pictures below a folder in torchvision's order: folders by their whole names, then each
/// folder's files. Links are followed unless they lead back up; names that begin with a dot are
/// left out, as is what is no regular file.
///
/// above   folders that it is in, to which no link is followed either
/// throws  DataError for a folder that cannot be listed
void find_pictures(const std::string& folder, FoundPictures& found,
                   const std::vector<std::string>& above = {});

/// Adds the .npy files below a folder, in no order; links to folders are not followed.
///
/// throws  DataError for a folder that cannot be listed
void find_arrays(const std::string& folder, std::vector<std::string>& files);

/// The names of a folder's own folders, sorted, without hidden ones; links count as what they lead
/// to.
///
/// throws  DataError for a folder that cannot be listed
std::vector<std::string> folder_names(const std::string& folder);

/// True when a folder has a picture that is not in a folder of its own.
bool has_own_pictures(const std::string& folder);

/// Says in one warning how many files of which endings were passed over, if any.
void warn_of_passed_over(const std::string& place, const FoundPictures& found);

/// A file name's ending with its dot, in small letters; "" where it has none.
std::string ending_of(const std::filesystem::path& path);

/// True for the file name endings of pictures that decode_image knows.
bool has_image_ending(const std::filesystem::path& path);

/// Those endings, for messages.
constexpr const char* kImageEndings = ".jpg, .jpeg, .jfif, .png, .webp, .bmp, .gif, .tif or .tiff";

}  // namespace vit22b
