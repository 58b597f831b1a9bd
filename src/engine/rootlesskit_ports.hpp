// Ports of an engine inside rootlesskit or bryo-rootless, published on the host as well: through the API that both
// serve on a socket in their state directory (rootlesskit's docs/api.md, version 1). What rootlesskit-docker-proxy does
// for dockerd.
//
//   GET /v1/info   GET /v1/ports   POST /v1/ports
//   {"proto":"tcp4","parentIP":…,"parentPort":…,"childIP":…,"childPort":…} DELETE /v1/ports/ID
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "network/ports.hpp"

namespace bryo::engine {

class RootlesskitPorts : public network::OuterPorts {
 public:
  // Of this process, when it is inside; nullptr otherwise. `record` is the file in which our ports are remembered, so
  // that those of an engine that was killed are found, and nobody else's taken for ours.
  static std::shared_ptr<RootlesskitPorts> of_environment(const std::string& record);
  RootlesskitPorts(std::string socket, std::string record);

  // An address of ours or every address: itself. One that only the host has: a loopback address that stands for it, so
  // that the same port of two such addresses does not meet in here (IPv6 has one loopback address only); the address
  // that the port driver reaches, where it does not reach that.
  kernel::IpAddress listens_at(const kernel::IpAddress& host) override;
  void add(const std::vector<network::PublishedPort>& ports) override;
  void remove(const std::vector<network::PublishedPort>& ports) noexcept override;
  void settle(const std::vector<network::PublishedPort>& ports) noexcept override;

 private:
  struct Driver {
    std::set<std::string> protocols;  // empty: no port driver
    std::string child_address;        // where its connections must go; empty: the loopback address
  };
  const Driver& driver();
  std::string call(std::string_view method, std::string_view path, std::string_view body);
  kernel::IpAddress stand_in(const kernel::IpAddress& host);
  void add_one(const network::PublishedPort& port);
  void remove_one(const std::string& key);
  void close(const network::PublishedPort& port) noexcept;
  void recall();
  void remember() const;

  const std::string socket_;
  const std::string record_;
  std::mutex mutex_;  // guards all below, and one call at a time
  std::optional<Driver> driver_;
  std::set<std::string> ours_;      // keys, before they are asked for
  std::map<std::string, int> ids_;  // of those that are there
};

}  // namespace bryo::engine
