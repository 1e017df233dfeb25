#pragma once
#include <string>
#include <vector>

namespace vit22b {

/// What is taken off a model's stream of tokens, worked on and added to it: `first` in order, then
/// the branches beside each other, each from the same, whose sum `last` sees.
struct DiagramBranches {
  std::vector<std::string> first;
  std::vector<std::vector<std::string>> branches;
  std::vector<std::string> last;
};

/// A model to be drawn from top to bottom: what a picture passes, in words.
struct BlockDiagram {
  std::string title;
  std::vector<std::string> before;  ///< what makes the stream
  std::string block;                ///< what stands over a block, such as "12 blocks"
  std::vector<DiagramBranches> parts;
  std::vector<std::string> after;  ///< what becomes of the stream
};

/// A whole SVG file, without scripts; the same bytes for the same diagram.
std::string block_diagram_svg(const BlockDiagram& diagram);

}  // namespace vit22b
