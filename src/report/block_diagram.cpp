#include "report/block_diagram.h"

#include <algorithm>

#include "core/text.h"
#include "report/svg.h"

namespace vit22b {
namespace {

constexpr double kStreamX = 140, kBoxWide = 220, kBoxHigh = 26, kBetween = 16, kAside = 16,
                 kFrameLeft = 14, kJoinRadius = 8;

/// Draws from top to bottom; `y` is how far it has come.
class DiagramPen {
 public:
  double y = 44;

  void box(double middle_x, const std::string& words, const char* kind) {
    out_ += concat("<rect class=\"", kind, "\" x=\"", middle_x - kBoxWide / 2, "\" y=\"", y,
                   "\" width=\"", kBoxWide, "\" height=\"", kBoxHigh, "\" rx=\"5\"/>");
    text(middle_x, y + 17, words, "middle");
  }
  void line(double x1, double y1, double x2, double y2, bool has_arrow = false) {
    out_ += concat("<line x1=\"", x1, "\" y1=\"", y1, "\" x2=\"", x2, "\" y2=\"", y2, "\"",
                   has_arrow ? " marker-end=\"url(#tip)\"" : "", "/>");
  }
  void text(double x, double at, const std::string& words, const char* anchor) {
    out_ += concat("<text x=\"", x, "\" y=\"", at, "\" text-anchor=\"", anchor, "\">",
                   escape_html(words), "</text>\n");
  }
  /// Boxes one below the other with arrows between them; begins at the first and ends below the
  /// last box.
  void stack(double middle_x, const std::vector<std::string>& boxes, const char* kind) {
    for (size_t i = 0; i < boxes.size(); ++i) {
      if (i > 0) {
        line(middle_x, y, middle_x, y + kBetween, /*has_arrow=*/true);
        y += kBetween;
      }
      box(middle_x, boxes[i], kind);
      y += kBoxHigh;
    }
  }
  void frame(double top, double right) {
    out_ += concat("<rect class=\"frame\" x=\"", kFrameLeft, "\" y=\"", top, "\" width=\"",
                   right - kFrameLeft, "\" height=\"", y - top, "\" rx=\"9\"/>\n");
  }
  void join(double x) {
    out_ += concat("<circle cx=\"", x, "\" cy=\"", y, "\" r=\"", kJoinRadius, "\"/>");
    text(x, y + 4, "+", "middle");
  }
  const std::string& out() const { return out_; }

 private:
  std::string out_;
};

/// The middle of a branch's boxes, right of the stream.
double middle_of(size_t branch) {
  return kStreamX + kAside + 24 + kBoxWide / 2 + static_cast<double>(branch) * (kBoxWide + kAside);
}

/// The branches beside each other from where the pen is; all end where the longest does.
void draw_columns(DiagramPen& pen, const std::vector<std::vector<std::string>>& branches) {
  const double top = pen.y;
  double bottom = top;
  for (size_t i = 0; i < branches.size(); ++i) {
    pen.y = top;
    pen.stack(middle_of(i), branches[i], "layer");
    bottom = std::max(bottom, pen.y);
  }
  bottom += kBetween;
  for (size_t i = 0; i < branches.size(); ++i) {
    const double own =
        top + static_cast<double>(branches[i].size()) * (kBoxHigh + kBetween) - kBetween;
    pen.line(middle_of(i), own, middle_of(i), bottom);
  }
  pen.y = bottom;
}

/// Off the stream and back onto it.
void draw_branches(DiagramPen& pen, const DiagramBranches& part) {
  const double leaving = pen.y + kBetween, first = middle_of(0);
  const double last = middle_of(part.branches.size() - 1);
  pen.y = leaving + kBetween;
  pen.line(kStreamX, leaving, part.first.empty() ? last : first, leaving);
  if (!part.first.empty()) {
    pen.line(first, leaving, first, pen.y, /*has_arrow=*/true);
    pen.stack(first, part.first, "norm");
    if (last > first) {
      pen.line(first, pen.y, first, pen.y + kBetween);
      pen.y += kBetween;
      pen.line(first, pen.y, last, pen.y);
    }
  } else {
    pen.y = leaving;
  }
  for (size_t i = 0; i < part.branches.size(); ++i)
    pen.line(middle_of(i), pen.y, middle_of(i), pen.y + kBetween, /*has_arrow=*/true);
  pen.y += kBetween;
  draw_columns(pen, part.branches);
  if (!part.last.empty()) {
    if (last > first) {
      pen.line(last, pen.y, first, pen.y);
      pen.line(first, pen.y, first, pen.y + kBetween, /*has_arrow=*/true);
      pen.y += kBetween;
    }
    pen.stack(first, part.last, "norm");
    pen.line(first, pen.y, first, pen.y + kBetween);
    pen.y += kBetween;
  }
  pen.line(part.last.empty() ? last : first, pen.y, kStreamX + kJoinRadius, pen.y,
           /*has_arrow=*/true);
  pen.line(kStreamX, leaving - kBetween, kStreamX, pen.y - kJoinRadius, /*has_arrow=*/true);
  pen.join(kStreamX);
  pen.y += kJoinRadius;
}

constexpr const char* kDiagramStyle =
    "<style>svg{background:#fff}text{font:12px system-ui,sans-serif;fill:#222}"
    "line{stroke:#555;stroke-width:1.3}rect{stroke:#555;fill:#eef2f7}"
    "rect.norm{fill:#fbf1dc}rect.layer{fill:#e3effb}rect.frame{fill:none;stroke-dasharray:5 4}"
    "circle{fill:#fff;stroke:#555;stroke-width:1.3}</style>"
    "<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"7\" "
    "markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" "
    "fill=\"#555\"/></marker></defs>\n";

}  // namespace

std::string block_diagram_svg(const BlockDiagram& diagram) {
  DiagramPen pen;
  size_t columns = 1;
  for (const DiagramBranches& part : diagram.parts)
    columns = std::max(columns, part.branches.size());
  const double right = middle_of(columns - 1) + kBoxWide / 2 + kAside;
  pen.text(kFrameLeft, 24, diagram.title, "start");
  pen.stack(kStreamX, diagram.before, "norm");
  const double above = pen.y, top = above + kBetween;
  pen.y = top + kBetween;
  pen.line(kStreamX, above, kStreamX, pen.y);
  pen.text(kFrameLeft + 10, top + 17, diagram.block, "start");
  for (const DiagramBranches& part : diagram.parts) draw_branches(pen, part);
  const double leaving = pen.y;
  pen.y += kBetween;
  pen.frame(top, right);
  pen.y += kBetween;
  pen.line(kStreamX, leaving, kStreamX, pen.y, /*has_arrow=*/true);
  pen.stack(kStreamX, diagram.after, "norm");
  const double width = std::max(right + kFrameLeft,
                                2 * kFrameLeft + 7.0 * static_cast<double>(diagram.title.size()));
  return concat("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 ", width, " ",
                pen.y + kFrameLeft, "\" width=\"", width, "\" height=\"", pen.y + kFrameLeft,
                "\">\n", kDiagramStyle, pen.out(), "</svg>\n");
}

}  // namespace vit22b
