#include "checkpoint/container/containers.h"
#include "checkpoint/hub_checkpoint.h"
#include "core/checksum.h"
#include "core/error.h"
#include "core/http/download.h"
#include "core/hub/hub_cache.h"
#include "core/log.h"
#include "core/user_cache.h"

namespace vit22b {
namespace {

namespace fs = std::filesystem;

/// The file at an address, with its size where the server says it.
RemoteFile remote_file(PoliteClient& client, const std::string& url, HttpAnswer& answer) {
  RemoteFile file{.url = url, .name = url};
  answer = client.head(url);
  const bool is_there = answer.failure == HttpAnswer::Failure::kNone && answer.status == 200;
  if (is_there && answer.header("accept-ranges") == "bytes")
    file.size_bytes = size_in_header(answer.header("content-length"));
  return file;
}

void fetch_to(FileOps& ops, const RemoteFile& file, const fs::path& path,
              const HubSettings& settings) {
  const fs::path unfinished = path.string() + ".vit22b";
  download(ops, file, unfinished, {.manners = manners_of(settings), .is_quiet = log_is_quiet()});
  ops.rename(unfinished, path);
}

}  // namespace

CheckpointPath url_checkpoint(const std::string& url, const HubSettings& settings) {
  check_url(url);
  const size_t slash = url.rfind('/');
  const std::string name = url.substr(slash + 1), base = url.substr(0, slash + 1);
  if (!is_safe_path(name) || name.find('#') != std::string::npos || !has_container_ending(name))
    throw CheckpointError(url, " is no address of a file of weights: want one that ends as such a ",
                          "file's name does, .safetensors, .npz, .pth and so on");
  const fs::path folder = user_cache_folder() / "downloads" / hash_of_text(url).substr(0, 16);
  std::error_code error;
  CheckpointPath found(folder, name);
  if (fs::is_regular_file(folder / name, error)) return found;
  if (settings.is_offline)
    throw CheckpointError(url, " is not in ", folder.string(),
                          ", and HF_HUB_OFFLINE forbids to ask");
  FileOps ops(ExitCode::kCheckpoint);
  ops.make_folder(folder);
  const BlobLock lock(folder / ".lock");
  if (fs::is_regular_file(folder / name, error)) return found;
  PoliteClient client(manners_of(settings));
  HttpAnswer answer;
  for (const char* beside : kModelConfigs) {
    const RemoteFile config = remote_file(client, base + beside, answer);
    if (answer.failure == HttpAnswer::Failure::kNone && answer.status == 200)
      fetch_to(ops, config, folder / beside, settings);
    else if (answer.status != 404 && answer.status != 403)
      throw CheckpointError(refusal_text(answer, config));
  }
  fetch_to(ops, remote_file(client, url, answer), folder / name, settings);
  return found;
}

}  // namespace vit22b
