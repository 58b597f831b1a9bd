#include "api/listen.hpp"

#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "api/activation.hpp"
#include "base/error.hpp"
#include "base/strings.hpp"
#include "kernel/sockets.hpp"

namespace bryo::api {
namespace {

constexpr int kBacklog = 1024;

sockaddr_un unix_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    fail(ErrorKind::invalid_argument, "socket path \"{}\" is too long: at most {} bytes", path,
         sizeof address.sun_path - 1);
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

// A directory of our own beside the final path; gone at the end.
class PrivateDirectory {
 public:
  explicit PrivateDirectory(const std::string& parent) : path_(parent + "/.bryo-XXXXXX") {
    if (::mkdtemp(path_.data()) == nullptr) fail_errno("could not make a directory in {}", parent);
    fd_.reset(::open(path_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd_) fail_errno("open {}", path_);
  }
  ~PrivateDirectory() { ::rmdir(path_.c_str()); }
  PrivateDirectory(const PrivateDirectory&) = delete;
  PrivateDirectory& operator=(const PrivateDirectory&) = delete;
  int fd() const { return fd_.get(); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  UniqueFd fd_;
};

void make_parent(const std::string& parent) {
  // Users of the socket's group pass through it, so it is open to search, and to nothing else.
  if (::mkdir(parent.c_str(), 0711) != 0 && errno != EEXIST) fail_errno("could not make {}", parent);
}

void refuse_if_taken(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return;
  if (S_ISLNK(status.st_mode) || !S_ISSOCK(status.st_mode))
    fail(ErrorKind::conflict, "could not listen on {}: it exists and is not a socket", path);
  if (somebody_listens(path)) fail(ErrorKind::conflict, "could not listen on {}: another daemon answers there", path);
}

UniqueFd listen_unix(const std::string& path, gid_t group) {
  static_cast<void>(unix_address(path));
  const std::size_t slash = path.rfind('/');
  const std::string parent = slash == 0 ? "/" : path.substr(0, slash);
  make_parent(parent);
  refuse_if_taken(path);
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) fail_errno("socket");
  // CVE-2014-3499: nobody else can reach the name until it has its final owner and mode.
  const PrivateDirectory directory(parent);
  const sockaddr_un address = unix_address(fmt::format("/proc/self/fd/{}/s", directory.fd()));
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    fail_errno("bind {}", path);
  if (::fchownat(directory.fd(), "s", 0, group, AT_SYMLINK_NOFOLLOW) != 0 && ::geteuid() == 0)
    fail_errno("chown {}", path);
  if (::fchmodat(directory.fd(), "s", 0660, 0) != 0) fail_errno("chmod {}", path);
  if (::listen(socket.get(), kBacklog) != 0) fail_errno("listen on {}", path);
  if (::renameat(directory.fd(), "s", AT_FDCWD, path.c_str()) != 0) fail_errno("could not put a socket at {}", path);
  return socket;
}

std::vector<kernel::IpAddress> addresses_of(const std::string& host) {
  if (const auto address = kernel::IpAddress::try_parse(host)) return {*address};
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(host.c_str(), nullptr, &hints, &found); error != 0)
    fail(ErrorKind::invalid_argument, "could not find the address of \"{}\": {}", printable(host), gai_strerror(error));
  std::vector<kernel::IpAddress> out;
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    if (entry->ai_family == AF_INET)
      out.push_back(kernel::IpAddress::from_bytes(kernel::Family::v4,
                                                  &reinterpret_cast<const sockaddr_in*>(entry->ai_addr)->sin_addr));
    if (entry->ai_family == AF_INET6)
      out.push_back(kernel::IpAddress::from_bytes(kernel::Family::v6,
                                                  &reinterpret_cast<const sockaddr_in6*>(entry->ai_addr)->sin6_addr));
  }
  ::freeaddrinfo(found);
  return out;
}

Opened open_tcp(const Endpoint& endpoint, bool tls) {
  Opened opened;
  for (const auto& address : addresses_of(endpoint.address)) {
    if (address.is_v6() && !kernel::has_ipv6()) continue;
    opened.listeners.push_back(
        {kernel::listen_tcp(address, endpoint.port), address.with_port(endpoint.port), false, tls});
  }
  if (opened.listeners.empty())
    fail(ErrorKind::unsupported, "could not listen on {}: this host has no such address", endpoint.str());
  return opened;
}

Opened open_inherited(const Endpoint& endpoint, bool tls) {
  Opened opened;
  for (InheritedSocket& given : take_inherited_sockets(endpoint.address)) {
    const bool local = given.is_unix;
    opened.listeners.push_back({std::move(given.fd), given.name, local, !local && tls});
  }
  return opened;
}

// Of /etc/group, so that ordinary starts load no name service.
std::optional<gid_t> group_in_file(std::string_view name) {
  std::ifstream file("/etc/group");
  for (std::string line; std::getline(file, line);) {
    const auto fields = split(line, ':');
    if (fields.size() >= 3 && fields[0] == name) return parse_integer<gid_t>(fields[2]);
  }
  return std::nullopt;
}

}  // namespace

Endpoint Endpoint::parse(std::string_view text, bool tls) {
  const auto refuse = [&](const char* why) {
    fail(ErrorKind::invalid_argument, "invalid host \"{}\": {}", printable(text), why);
  };
  if (text.starts_with('/')) return {Kind::unix_socket, std::string(text), 0};
  if (text.starts_with("unix://")) {
    const std::string_view path = text.substr(7);
    if (!path.starts_with('/')) refuse("expected unix:///path");
    return {Kind::unix_socket, std::string(path), 0};
  }
  if (text.starts_with("fd://")) return {Kind::inherited, std::string(text.substr(5)), 0};
  if (!text.starts_with("tcp://")) refuse("expected unix://path, tcp://host:port or fd://");
  std::string_view rest = text.substr(6);
  if (rest.ends_with('/')) rest.remove_suffix(1);
  Endpoint endpoint{Kind::tcp, "", static_cast<std::uint16_t>(tls ? 2376 : 2375)};
  const std::size_t colon = rest.rfind(':');
  const bool bracketed = rest.starts_with('[');
  if (bracketed && rest.find(']') == std::string_view::npos) refuse("missing ]");
  if (colon != std::string_view::npos && (!bracketed || colon > rest.find(']'))) {
    const auto port = parse_integer<std::uint16_t>(rest.substr(colon + 1));
    if (!port || *port == 0) refuse("the port is not a number from 1 to 65535");
    endpoint.port = *port;
    rest = rest.substr(0, colon);
  }
  if (bracketed) rest = rest.substr(1, rest.find(']') - 1);
  endpoint.address = rest.empty() ? "127.0.0.1" : std::string(rest);
  return endpoint;
}

std::string Endpoint::str() const {
  switch (kind) {
    case Kind::unix_socket:
      return address;
    case Kind::tcp:
      return fmt::format("{}:{}", address.find(':') == std::string::npos ? address : "[" + address + "]", port);
    case Kind::inherited:
      return "fd://" + address;
  }
  return address;
}

SocketFile::SocketFile(std::string path) : path_(std::move(path)) {
  struct stat status {};
  if (::lstat(path_.c_str(), &status) != 0) return;
  device_ = status.st_dev;
  inode_ = status.st_ino;
}

SocketFile::~SocketFile() {
  struct stat status {};
  if (::lstat(path_.c_str(), &status) == 0 && status.st_dev == device_ && status.st_ino == inode_)
    ::unlink(path_.c_str());
}

Opened open_endpoint(const Endpoint& endpoint, gid_t group, bool tls) {
  if (endpoint.kind == Endpoint::Kind::tcp) return open_tcp(endpoint, tls);
  if (endpoint.kind == Endpoint::Kind::inherited) return open_inherited(endpoint, tls);
  Opened opened;
  opened.listeners.push_back({listen_unix(endpoint.address, group), endpoint.address, true, false});
  opened.file = std::make_unique<SocketFile>(endpoint.address);
  return opened;
}

bool somebody_listens(const std::string& path) {
  const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const sockaddr_un address = unix_address(path);
  // EAGAIN: its queue is full, so it is alive.
  return ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 || errno == EAGAIN;
}

gid_t socket_group(const std::string& name) {
  if (name.empty()) {
    for (const char* usual : {"docker", "bryo"})
      if (const auto group = group_in_file(usual)) return *group;
    return 0;
  }
  if (const auto number = parse_integer<gid_t>(name)) return *number;
  if (const auto group = group_in_file(name)) return *group;
  if (const group* entry = ::getgrnam(name.c_str())) return entry->gr_gid;
  fail(ErrorKind::invalid_argument, "group \"{}\" of --group is not known on this host", printable(name));
}

}  // namespace bryo::api
