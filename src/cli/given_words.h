#pragma once
#include <string>
#include <vector>

namespace vit22b {

/// Writes the word `store=NAME` of commands that read a checkpoint as their option --store=NAME,
/// and takes `model.KEY=VALUE` words of commands that read a checkpoint into the checkpoint's own
/// word, "CKPT?KEY=VALUE" (resolve_checkpoint), the command's first; of `compare` the one before
/// them.
///
/// words  of the command line, without the program's name
std::vector<std::string> with_given_keys(std::vector<std::string> words);

}  // namespace vit22b
