// Where does the API listen? -H values become listening sockets.
//
// A unix socket is made mode 0660 inside a directory that only we can enter and is then moved into place, so there is
// no moment when others could connect, whatever the umask (CVE-2014-3499). Sockets that systemd hands over stay as they
// are. Not thread-safe: called while starting.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/server.hpp"

namespace bryo::api {

struct Endpoint {
  enum class Kind { unix_socket, tcp, inherited };
  Kind kind = Kind::unix_socket;
  std::string address;  // path, host, or the name of systemd's socket ("" takes all)
  std::uint16_t port = 0;

  // "unix:///run/x.sock", "tcp://host:port", "fd://", "fd://name", or a bare absolute path. Ports default to 2375, or
  // 2376 with TLS; an empty host is 127.0.0.1. Throws Error{invalid_argument}.
  static Endpoint parse(std::string_view text, bool tls);
  std::string str() const;
};

// A socket file that we made; removed at the end unless something else has taken its place.
class SocketFile {
 public:
  explicit SocketFile(std::string path);
  ~SocketFile();
  SocketFile(const SocketFile&) = delete;
  SocketFile& operator=(const SocketFile&) = delete;

 private:
  std::string path_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

struct Opened {
  std::vector<Listener> listeners;
  std::unique_ptr<SocketFile> file;
};

// Throws Error; conflict when another daemon answers on that unix socket.
Opened open_endpoint(const Endpoint& endpoint, gid_t group, bool tls);

// Does something accept connections on this unix socket?
bool somebody_listens(const std::string& path);

// The group that may use the socket: `name` (a name or a number, must exist), or, when it is empty, "docker" or "bryo"
// when there is such a group, else root's.
gid_t socket_group(const std::string& name);

}  // namespace bryo::api
