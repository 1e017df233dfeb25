#include "report/page.h"

#include "core/text.h"
#include "report/svg.h"

namespace vit22b {
namespace {

constexpr const char* kStyle = R"(
:root { color-scheme: light dark; --ink: #222; --paper: #fff; --line: #ddd; }
@media print { body { max-width: none; } }
@media (prefers-color-scheme: dark) { :root { --ink: #ddd; --paper: #1b1b1d; --line: #3a3a3d; } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 980px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2em; border-bottom: 1px solid var(--line); }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(400px, 1fr)); gap: 14px; margin-top: 1.2em; }
svg { width: 100%; max-width: 500px; height: auto; font-size: 11px; break-inside: avoid; }
svg text { fill: var(--ink); } svg .title { font-size: 13px; font-weight: 600; }
svg .grid { stroke: var(--line); } svg .diagonal { stroke: var(--ink); stroke-dasharray: 4 3; }
.wide { overflow-x: auto; } svg.sample { width: 24px; height: 8px; }
table { border-collapse: collapse; } td, th { padding: 2px 8px; text-align: right; border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums; }
td.key, th.key { text-align: left; } .settings td, .settings th { text-align: left; } .settings td { font-family: ui-monospace, monospace; font-size: 12px; }
.confusion td, .confusion th { padding: 3px 6px; font-size: 12px; }
.examples { display: flex; flex-wrap: wrap; gap: 12px; } figure { margin: 0; width: 176px; break-inside: avoid; font-size: 12px; }
figure img { width: 84px; image-rendering: pixelated; margin-right: 4px; } figcaption { overflow-wrap: anywhere; }
.hint { opacity: 0.75; } .big { font-size: 1.6em; font-weight: 600; }
)";

}  // namespace

std::string shortened(const std::string& text, size_t longest) {
  if (text.size() <= longest) return text;
  return concat(text.substr(0, longest), " … (", text.size(), " letters)");
}

std::string html_page(const std::string& title, const std::string& body) {
  return concat(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width\">",
      "<title>", escape_html(title), "</title><style>", kStyle, "</style></head><body>\n", body,
      "</body></html>\n");
}

}  // namespace vit22b
