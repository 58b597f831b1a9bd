// Routing between interfaces (net.ipv4.ip_forward and its IPv6 sister): switched on when containers need it, and off
// again at a clean end if it was off before. What was changed is remembered in the store, for this boot of the host
// only. Not thread-safe.
#pragma once

#include <string>
#include <vector>

#include "network/persistence.hpp"

namespace bryo::network {

class Forwarding {
 public:
  inline static constexpr std::string_view kStoreKey = "host";

  explicit Forwarding(Persistence& store) : store_(store) {}
  // Reads what an earlier life has changed.
  void load();
  // Returns remarks for the user; does not throw when /proc/sys is read-only.
  std::vector<std::string> need(bool ipv6);
  void restore();
  // The host forwards only because of us, so other traffic should not pass.
  bool ours() const { return ipv4_ || ipv6_; }

 private:
  void switch_on(const std::string& name, bool& changed, std::vector<std::string>& remarks);
  void save();
  Persistence& store_;
  bool ipv4_ = false;
  bool ipv6_ = false;
};

}  // namespace bryo::network
