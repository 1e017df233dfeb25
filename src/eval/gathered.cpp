#include "eval/gathered.h"

#include <nlohmann/json.hpp>

namespace vit22b {

nlohmann::json gathered(const nlohmann::json& own, const Mesh& mesh) {
  nlohmann::json all = nlohmann::json::array();
  for (const std::string& text : mesh.gather_text(
           own.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace), MeshAxis::kData))
    for (auto& entry : nlohmann::json::parse(text)) all.push_back(std::move(entry));
  return all;
}

}  // namespace vit22b
