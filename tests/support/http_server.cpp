#include "support/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <stdexcept>

#include "core/text.h"

namespace vit22b::test {
namespace {

bool send_all(int connection, const std::string& text) {
  for (size_t at = 0; at < text.size();) {
    const ssize_t count = ::send(connection, text.data() + at, text.size() - at, MSG_NOSIGNAL);
    if (count <= 0) return false;
    at += static_cast<size_t>(count);
  }
  return true;
}

/// The head of a request, up to the empty line; "" at the connection's end.
std::string read_head(int connection, const std::atomic<bool>& is_over) {
  std::string text;
  while (text.find("\r\n\r\n") == std::string::npos) {
    pollfd waiting{connection, POLLIN, 0};
    if (is_over) return "";
    if (::poll(&waiting, 1, 20) == 0) continue;
    char buffer[4096];
    const ssize_t count = ::recv(connection, buffer, sizeof buffer, 0);
    if (count <= 0) return "";
    text.append(buffer, static_cast<size_t>(count));
  }
  return text;
}

Asked parsed(const std::string& head) {
  Asked asked;
  const std::vector<std::string> lines = split(head, '\n');
  const std::vector<std::string> first = split(trim(lines.front()), ' ');
  asked.method = first.at(0);
  asked.path = first.at(1);
  for (size_t i = 1; i < lines.size(); ++i) {
    const size_t colon = lines[i].find(':');
    if (colon == std::string::npos) continue;
    std::string name = lines[i].substr(0, colon);
    std::transform(name.begin(), name.end(), name.begin(), ::tolower);
    asked.headers[name] = trim(lines[i].substr(colon + 1));
  }
  return asked;
}

void wait(double seconds, const std::atomic<bool>& is_over) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (!is_over && std::chrono::steady_clock::now() < until)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

/// "bytes=FIRST-LAST" or "bytes=FIRST-".
void cut_to_range(const std::string& range, Reply& reply) {
  const size_t equals = range.find('='), dash = range.find('-');
  const auto size = static_cast<int64_t>(reply.body.size());
  const int64_t first = std::stoll(range.substr(equals + 1, dash - equals - 1));
  const std::string end = range.substr(dash + 1);
  const int64_t last = end.empty() ? size - 1 : std::min<int64_t>(std::stoll(end), size - 1);
  if (first >= size) {
    reply.status = 416;
    reply.body.clear();
    return;
  }
  reply.status = 206;
  reply.headers["Content-Range"] = concat("bytes ", first, "-", last, "/", size);
  reply.body = reply.body.substr(static_cast<size_t>(first), static_cast<size_t>(last - first + 1));
}

}  // namespace

HttpServer::HttpServer(Handler handler) : handler_(std::move(handler)) {
  listening_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* any = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listening_, any, size) != 0 || ::listen(listening_, 64) != 0 ||
      ::getsockname(listening_, any, &size) != 0)
    throw std::runtime_error("no port for a test's server");
  port_ = ntohs(address.sin_port);
  accepting_ = std::thread([this] {
    while (!is_over_) {
      pollfd waiting{listening_, POLLIN, 0};
      if (::poll(&waiting, 1, 20) <= 0) continue;
      const int connection = ::accept4(listening_, nullptr, nullptr, SOCK_CLOEXEC);
      if (connection >= 0) threads_.emplace_back([this, connection] { serve(connection); });
    }
  });
}

HttpServer::~HttpServer() {
  is_over_ = true;
  accepting_.join();
  for (std::thread& thread : threads_) thread.join();
  ::close(listening_);
}

std::string HttpServer::url() const {
  return concat("http://127.0.0.1:", port_);
}

std::vector<Asked> HttpServer::asked() const {
  const std::lock_guard lock(mutex_);
  return asked_;
}

void HttpServer::serve(int connection) {
  while (true) {
    const std::string head = read_head(connection, is_over_);
    if (head.empty()) break;
    const Asked asked = parsed(head);
    {
      const std::lock_guard lock(mutex_);
      asked_.push_back(asked);
    }
    if (!answer(connection, asked)) break;
  }
  ::close(connection);
}

bool HttpServer::answer(int connection, const Asked& asked) {
  Reply reply = handler_(asked);
  wait(reply.waits_s, is_over_);
  const std::string range = asked.header("range");
  if (reply.status == 200 && reply.honours_range) {
    reply.headers["Accept-Ranges"] = "bytes";
    if (!range.empty() && asked.method == "GET") cut_to_range(range, reply);
  }
  const int64_t length =
      reply.announces >= 0 ? reply.announces : static_cast<int64_t>(reply.body.size());
  std::string head = concat("HTTP/1.1 ", reply.status, " x\r\n");
  if (reply.headers.count("Content-Length") == 0)
    reply.headers["Content-Length"] = std::to_string(length);
  for (const auto& [name, value] : reply.headers) head += concat(name, ": ", value, "\r\n");
  if (!send_all(connection, head + "\r\n")) return false;
  if (asked.method == "HEAD") return true;
  if (reply.drops_after >= 0)
    reply.body.resize(std::min<size_t>(reply.body.size(), static_cast<size_t>(reply.drops_after)));
  const size_t half = reply.stalls_s > 0 ? reply.body.size() / 2 : reply.body.size();
  sent_bytes_ += static_cast<int64_t>(reply.body.size());
  if (!send_all(connection, reply.body.substr(0, half))) return false;
  if (reply.stalls_s > 0) {
    wait(reply.stalls_s, is_over_);
    if (!send_all(connection, reply.body.substr(half))) return false;
  }
  return reply.drops_after < 0 && static_cast<int64_t>(reply.body.size()) == length;
}

}  // namespace vit22b::test
