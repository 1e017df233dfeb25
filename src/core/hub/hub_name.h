#pragma once
#include <string>

namespace vit22b {

/// A model of a hub as users name it: hf:OWNER/NAME[@REVISION][:FILE].
struct HubName {
  std::string owner, name;
  std::string revision = "main";  ///< a branch, a tag or a commit
  std::string file = {};          ///< in its tree, "/" between folders; or ""

  std::string repository() const { return owner + "/" + name; }
  /// As a user writes it.
  std::string text() const;
};

/// Whether a text begins as such a name does.
bool is_hub_name(const std::string& text);

/// throws  UsageError saying what is wrong with it: nothing that a name, a revision or a file is
///         called leads out of a folder that it is put into
HubName parse_hub_name(const std::string& text);

/// Whether a file's name in a tree stays inside of the folder that it is put into, and is one that
/// every file system takes.
bool is_safe_path(const std::string& path);

}  // namespace vit22b
