// nf_tables over netlink: tables, chains, sets, maps and their elements in atomic transactions. No `nft` program, no
// GPL library. Rules are in nftables_rule.hpp.
//
// Ownership: a table with NftOwned::yes belongs to the socket that claimed it (kernel flag "owner", Linux 5.12): nobody
// else can change or flush it, so a firewall reload cannot open a container (CVE-2025-54388). With the flag "persist"
// (Linux 6.9) it stays when the socket is closed, and the next one claims it; older kernels get neither flag.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/netlink.hpp"
#include "kernel/nftables_rule.hpp"

namespace bryo::kernel {

enum class NftFamily : std::uint8_t { inet = 1, ip = 2 };
enum class NftHook : std::uint8_t { prerouting = 0, input = 1, forward = 2, output = 3, postrouting = 4 };
enum class NftOwned : std::uint8_t { no, yes };

// Numbers of nft's own data types, so that `nft list` can print the elements.
inline constexpr std::uint32_t kNftIpv4 = 7;
inline constexpr std::uint32_t kNftIpv6 = 8;
inline constexpr std::uint32_t kNftProtocol = 12;
inline constexpr std::uint32_t kNftService = 13;
inline constexpr std::uint32_t kNftInterface = 41;
constexpr std::uint32_t nft_concat(std::uint32_t a, std::uint32_t b) { return a << 6 | b; }
constexpr std::uint32_t nft_concat(std::uint32_t a, std::uint32_t b, std::uint32_t c) {
  return nft_concat(nft_concat(a, b), c);
}

struct NftSet {
  std::string_view name;
  std::uint32_t key_type = 0;
  std::uint32_t key_size = 0;
  std::uint32_t data_type = 0;  // 0: a set, not a map
  std::uint32_t data_size = 0;
};

struct NftChain {
  std::string_view name;
  bool nat = false;
  NftHook hook = NftHook::forward;
  int priority = 0;
};

// Key and value as they lie in registers: each part in network order, padded to four bytes.
struct NftElement {
  std::vector<std::byte> key;
  std::vector<std::byte> data;  // empty for sets
  bool operator==(const NftElement&) const = default;
};

// Puts parts of keys together.
class NftKey {
 public:
  NftKey& address(const IpAddress& address);
  NftKey& port(std::uint16_t port);
  NftKey& protocol(std::uint8_t protocol);
  NftKey& interface(std::string_view name);
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  NftKey& put(const void* value, std::size_t size);
  std::vector<std::byte> bytes_;
};

// The changes of one transaction, in order, on one table.
class NftTransaction {
 public:
  NftTransaction(NftFamily family, std::string table);
  // Throws conflict when it exists. Replacing a table costs the process that closes its socket next a grace period of
  // the kernel (milliseconds), so try without first.
  NftTransaction& create_table(NftOwned owned);
  // Takes a table over that its owner has left.
  NftTransaction& claim_table();
  NftTransaction& delete_table();
  NftTransaction& add_set(const NftSet& set);
  NftTransaction& empty_set(std::string_view set);
  NftTransaction& add_chain(const NftChain& chain);
  NftTransaction& add_rule(std::string_view chain, const NftRule& rule);
  NftTransaction& add_elements(std::string_view set, std::span<const NftElement> elements);
  // Elements that are not there fail the transaction.
  NftTransaction& remove_elements(std::string_view set, std::span<const NftElement> elements);
  void commit(NetlinkSocket& socket, std::string_view what);

 private:
  void start(std::uint16_t type, unsigned flags);
  void elements(std::uint16_t type, unsigned flags, std::string_view set, std::span<const NftElement> list);
  std::uint8_t family_;
  std::string table_;
  std::uint32_t next_set_id_ = 1;
  NetlinkBatch batch_;
};

struct NftTable {
  std::uint32_t flags = 0;
  bool owned = false;  // by some socket at this moment
};

std::optional<NftTable> find_table(NetlinkSocket& socket, NftFamily family, const std::string& table);
bool has_set(NetlinkSocket& socket, NftFamily family, const std::string& table, const std::string& set);
std::vector<NftElement> list_elements(NetlinkSocket& socket, NftFamily family, const std::string& table,
                                      const std::string& set);
// "ip filter FORWARD": base chains of other tables on the forward hook whose policy is to drop.
std::vector<std::string> forward_chains_that_drop(NetlinkSocket& socket, const std::string& except_table);

// Tells of tables that vanish. Listens from construction on, so nothing after that is missed.
class NftWatch {
 public:
  enum class News { removed, other, stopped };
  NftWatch();
  // Blocks until something happens in nf_tables; `removed` also when news may have been lost. For one thread.
  News wait(const std::string& table);
  // From any thread, for good.
  void stop();

 private:
  NetlinkSocket socket_;
  UniqueFd stop_;
};

}  // namespace bryo::kernel
