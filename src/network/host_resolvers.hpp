// Which DNS servers does the host use now? Reads /etc/resolv.conf again when it has changed. Where it names only
// systemd-resolved's stub (127.0.0.53), which no container reaches, the file behind the stub is read instead.
// Thread-safe.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "kernel/sockets_address.hpp"
#include "network/resolv_conf.hpp"

namespace bryo::network {

struct DnsUpstream {
  kernel::IpAddress address;
  // A resolver on the host's own loopback: asked from the host's namespace. Never for internal networks.
  bool from_host = false;
};

class HostResolvers {
 public:
  // `relay`, when not empty, answers in place of all the host's servers: where those are out of reach.
  explicit HostResolvers(std::string path, std::string behind_stub = "/run/systemd/resolve/resolv.conf",
                         std::string relay = {});
  // Empty when there is no file, as resolv.conf(5) allows.
  ResolvConf current() const;
  // The file itself, stub or not: for containers in the host's own network.
  ResolvConf own() const;
  // Where queries go: `asked` (--dns; as the container sees them) or the host's.
  std::vector<DnsUpstream> upstreams(const std::vector<std::string>& asked) const;

 private:
  ResolvConf reachable() const;

  std::string path_;
  std::string behind_stub_;
  std::string relay_;
  mutable std::mutex mutex_;
  mutable ResolvConf cached_;
  mutable std::int64_t stamp_ = -1;
};

}  // namespace bryo::network
