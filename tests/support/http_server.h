#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace vit22b::test {

/// What a client sent.
struct Asked {
  std::string method, path;
  std::map<std::string, std::string> headers;  ///< names in lower case
  std::string header(const std::string& name) const {
    const auto it = headers.find(name);
    return it == headers.end() ? "" : it->second;
  }
};

/// What a server says, and how it fails.
struct Reply {
  int status = 200;
  std::map<std::string, std::string> headers = {};
  std::string body = {};
  bool honours_range = true;
  int64_t drops_after = -1;  ///< bytes of the body, then the connection ends
  int64_t announces = -1;    ///< this length instead of the body's
  double stalls_s = 0;       ///< before the body's second half
  double waits_s = 0;        ///< before anything
};

/// An HTTP server on a port of this machine, with a thread a connection.
class HttpServer {
 public:
  using Handler = std::function<Reply(const Asked&)>;
  explicit HttpServer(Handler handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// "http://127.0.0.1:PORT"
  std::string url() const;
  int port() const { return port_; }
  std::vector<Asked> asked() const;
  /// Bytes of bodies that were sent.
  int64_t sent_bytes() const { return sent_bytes_; }

 private:
  void serve(int connection);
  bool answer(int connection, const Asked& asked);

  Handler handler_;
  int listening_ = -1, port_ = 0;
  std::atomic<bool> is_over_ = false;
  std::atomic<int64_t> sent_bytes_ = 0;
  mutable std::mutex mutex_;
  std::vector<Asked> asked_;
  std::vector<std::thread> threads_;
  std::thread accepting_;
};

}  // namespace vit22b::test
