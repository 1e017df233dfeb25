#pragma once
#include <filesystem>
#include <string>

#include "core/http/polite_client.h"

namespace vit22b {

/// Where the hub and its cache are, as the environment says: the variables that the hub's own
/// library reads.
struct HubSettings {
  std::string endpoint;         ///< HF_ENDPOINT, without a slash at its end
  std::filesystem::path cache;  ///< HF_HUB_CACHE, else HF_HOME/hub, else ~/.cache/huggingface/hub
  std::string token;        ///< HF_TOKEN, else what the file HF_TOKEN_PATH or HF_HOME/token holds
  bool is_offline = false;  ///< HF_HUB_OFFLINE
  int64_t timeout_s = 10;   ///< HF_HUB_DOWNLOAD_TIMEOUT
  /// Between tries of a request that may do better the next time, doubled each time.
  double first_pause_s = 1;
};

/// How the hub, and other servers, are asked: its token goes to the endpoint alone.
Manners manners_of(const HubSettings& settings);

/// throws  UsageError for an endpoint that is no address of a server, and where no home is known
HubSettings hub_settings();

}  // namespace vit22b
