#include "model/gradient_sink.h"

namespace vit22b {

const std::set<std::string>& trained_names(const GradientSink* sink, const Unit& unit) {
  static const std::set<std::string> kNone;
  return sink == nullptr ? kNone : sink->trained(unit);
}

}  // namespace vit22b
