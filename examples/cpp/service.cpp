// Features of pictures over HTTP, to this machine alone: service CHECKPOINT PORT
//   curl --data-binary @photo.jpg http://127.0.0.1:PORT/
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vit22b/vit22b.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

// What came with a request, or nothing; at most 64 MiB.
std::string read_body(int peer) {
  std::string all, piece(1 << 16, 0);
  for (size_t wanted = std::string::npos; all.size() < std::min(wanted, size_t{64} << 20);) {
    const ssize_t got = read(peer, piece.data(), piece.size());
    if (got <= 0) return "";
    all.append(piece, 0, static_cast<size_t>(got));
    const size_t head = all.find("\r\n\r\n"), length = all.find("Content-Length: ");
    if (head != std::string::npos && length < head)
      wanted = head + 4 + std::strtoull(all.c_str() + length + 16, nullptr, 10);
  }
  return all.substr(all.find("\r\n\r\n") + 4);
}

int main(int argc, char** argv) {
  if (argc != 3) return std::cerr << "service CHECKPOINT PORT\n", 2;
  const vit22b::Model model(argv[1]);
  const auto file =
      std::filesystem::temp_directory_path() / ("picture-" + std::to_string(getpid()));
  sockaddr_in place{};
  place.sin_family = AF_INET, place.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
  place.sin_port = htons(std::stoi(argv[2]));
  const int door = socket(AF_INET, SOCK_STREAM, 0);
  if (bind(door, reinterpret_cast<sockaddr*>(&place), sizeof place) != 0 || listen(door, 8) != 0)
    return std::perror("service"), 2;
  for (int peer; (peer = accept(door, nullptr, nullptr)) >= 0; close(peer)) {
    std::ostringstream answer;
    const char* status = "200 OK";
    try {
      std::ofstream(file, std::ios::binary) << read_body(peer);
      for (const float value : model.features(model.preprocess({file.string()})).values)
        answer << (answer.tellp() == 0 ? "[" : ", ") << value;
      answer << "]\n";
    } catch (const std::exception& e) {
      status = "400 Bad Request";
      answer.str(std::string(e.what()) + "\n");
    }
    const std::string text =
        std::string("HTTP/1.1 ") + status + "\r\nConnection: close\r\n\r\n" + answer.str();
    if (write(peer, text.data(), text.size()) < 0) std::perror("answer");
  }
}
