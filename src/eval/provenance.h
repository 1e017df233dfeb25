#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

namespace vit22b {

/// What a result was made from, so that it can be traced and made again.
struct Provenance {
  std::string checkpoint;       ///< its folder
  std::optional<int64_t> step;  ///< of training, where the checkpoint says it
  std::string source, split;    ///< of the samples
  std::string fingerprint;      ///< of the samples, as the source has it
  std::string command;          ///< as it was typed
};

/// The same as an object with these keys; `step` is null where it is not known.
nlohmann::ordered_json provenance_json(const Provenance& provenance);

}  // namespace vit22b
