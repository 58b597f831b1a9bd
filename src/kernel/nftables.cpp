#include "kernel/nftables.hpp"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/error.hpp"

namespace bryo::kernel {
namespace {

constexpr std::uint32_t kTablePersist = 0x4;  // NFT_TABLE_F_PERSIST, newer than Debian 12's headers
// One attribute holds at most 64 KiB; an element takes less than 128 bytes.
constexpr std::size_t kElementsPerMessage = 400;

std::uint16_t nft_type(unsigned message) { return static_cast<std::uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | message); }

nfgenmsg nft_header(std::uint8_t family, std::uint16_t resource = 0) {
  nfgenmsg header{};
  header.nfgen_family = family;
  header.version = NFNETLINK_V0;
  header.res_id = htons(resource);
  return header;
}

std::vector<std::byte> copy_of(const std::optional<std::span<const std::byte>>& bytes) {
  return bytes ? std::vector<std::byte>(bytes->begin(), bytes->end()) : std::vector<std::byte>();
}

}  // namespace

NftKey& NftKey::put(const void* value, std::size_t size) {
  const auto* from = static_cast<const std::byte*>(value);
  bytes_.insert(bytes_.end(), from, from + size);
  bytes_.resize((bytes_.size() + 3) & ~std::size_t{3});
  return *this;
}

NftKey& NftKey::address(const IpAddress& address) {
  const auto bytes = address.bytes();
  return put(bytes.data(), static_cast<std::size_t>(address.size()));
}

NftKey& NftKey::port(std::uint16_t port) {
  const std::uint16_t network = htons(port);
  return put(&network, sizeof(network));
}

NftKey& NftKey::protocol(std::uint8_t protocol) { return put(&protocol, sizeof(protocol)); }

NftKey& NftKey::interface(std::string_view name) {
  char padded[IFNAMSIZ] = {};
  std::memcpy(padded, name.data(), std::min<std::size_t>(name.size(), IFNAMSIZ - 1));
  return put(padded, sizeof(padded));
}

NftTransaction::NftTransaction(NftFamily family, std::string table)
    : family_(static_cast<std::uint8_t>(family)), table_(std::move(table)) {
  batch_.message(NFNL_MSG_BATCH_BEGIN, 0, nft_header(AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
}

void NftTransaction::start(std::uint16_t type, unsigned flags) {
  batch_.message(nft_type(type), flags, nft_header(family_));
}

NftTransaction& NftTransaction::create_table(NftOwned owned) {
  start(NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL);
  batch_.text(NFTA_TABLE_NAME, table_);
  if (owned == NftOwned::yes) batch_.be32(NFTA_TABLE_FLAGS, NFT_TABLE_F_OWNER | kTablePersist);
  return *this;
}

NftTransaction& NftTransaction::claim_table() {
  start(NFT_MSG_NEWTABLE, 0);
  batch_.text(NFTA_TABLE_NAME, table_).be32(NFTA_TABLE_FLAGS, NFT_TABLE_F_OWNER | kTablePersist);
  return *this;
}

NftTransaction& NftTransaction::delete_table() {
  start(NFT_MSG_DELTABLE, 0);
  batch_.text(NFTA_TABLE_NAME, table_);
  return *this;
}

NftTransaction& NftTransaction::add_set(const NftSet& set) {
  start(NFT_MSG_NEWSET, NLM_F_CREATE | NLM_F_EXCL);
  batch_.text(NFTA_SET_TABLE, table_).text(NFTA_SET_NAME, set.name);
  batch_.be32(NFTA_SET_FLAGS, set.data_type != 0 ? NFT_SET_MAP : 0);
  batch_.be32(NFTA_SET_KEY_TYPE, set.key_type).be32(NFTA_SET_KEY_LEN, set.key_size);
  if (set.data_type != 0) batch_.be32(NFTA_SET_DATA_TYPE, set.data_type).be32(NFTA_SET_DATA_LEN, set.data_size);
  batch_.be32(NFTA_SET_ID, next_set_id_++);
  // For `nft list` only (libnftnl's udata.h): the key is text in host order.
  static constexpr std::array<std::uint8_t, 6> kHostOrderKey{0, 4, 1, 0, 0, 0};
  if (set.key_type == kNftInterface) batch_.raw(NFTA_SET_USERDATA, kHostOrderKey.data(), kHostOrderKey.size());
  return *this;
}

NftTransaction& NftTransaction::empty_set(std::string_view set) {
  start(NFT_MSG_DELSETELEM, 0);
  batch_.text(NFTA_SET_ELEM_LIST_TABLE, table_).text(NFTA_SET_ELEM_LIST_SET, set);
  return *this;
}

NftTransaction& NftTransaction::add_chain(const NftChain& chain) {
  start(NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL);
  batch_.text(NFTA_CHAIN_TABLE, table_).text(NFTA_CHAIN_NAME, chain.name);
  batch_.nest(NFTA_CHAIN_HOOK, [&] {
    batch_.be32(NFTA_HOOK_HOOKNUM, static_cast<std::uint32_t>(chain.hook));
    batch_.be32(NFTA_HOOK_PRIORITY, static_cast<std::uint32_t>(chain.priority));
  });
  batch_.be32(NFTA_CHAIN_POLICY, NF_ACCEPT).text(NFTA_CHAIN_TYPE, chain.nat ? "nat" : "filter");
  return *this;
}

NftTransaction& NftTransaction::add_rule(std::string_view chain, const NftRule& rule) {
  start(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
  batch_.text(NFTA_RULE_TABLE, table_).text(NFTA_RULE_CHAIN, chain);
  rule.write(batch_);
  return *this;
}

void NftTransaction::elements(std::uint16_t type, unsigned flags, std::string_view set,
                              std::span<const NftElement> list) {
  while (!list.empty()) {
    const auto part = list.first(std::min(list.size(), kElementsPerMessage));
    list = list.subspan(part.size());
    start(type, flags);
    batch_.text(NFTA_SET_ELEM_LIST_TABLE, table_).text(NFTA_SET_ELEM_LIST_SET, set);
    batch_.nest(NFTA_SET_ELEM_LIST_ELEMENTS, [&] {
      for (const NftElement& element : part) {
        batch_.nest(NFTA_LIST_ELEM, [&] {
          batch_.nest(NFTA_SET_ELEM_KEY, [&] { batch_.bytes(NFTA_DATA_VALUE, element.key); });
          if (!element.data.empty())
            batch_.nest(NFTA_SET_ELEM_DATA, [&] { batch_.bytes(NFTA_DATA_VALUE, element.data); });
        });
      }
    });
  }
}

NftTransaction& NftTransaction::add_elements(std::string_view set, std::span<const NftElement> list) {
  elements(NFT_MSG_NEWSETELEM, NLM_F_CREATE, set, list);
  return *this;
}

NftTransaction& NftTransaction::remove_elements(std::string_view set, std::span<const NftElement> list) {
  elements(NFT_MSG_DELSETELEM, 0, set, list);
  return *this;
}

void NftTransaction::commit(NetlinkSocket& socket, std::string_view what) {
  batch_.message(NFNL_MSG_BATCH_END, 0, nft_header(AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
  socket.transaction(batch_, what);
}

std::optional<NftTable> find_table(NetlinkSocket& socket, NftFamily family, const std::string& table) {
  NetlinkBatch batch;
  batch.message(nft_type(NFT_MSG_GETTABLE), 0, nft_header(static_cast<std::uint8_t>(family)));
  batch.text(NFTA_TABLE_NAME, table);
  std::optional<NftTable> found;
  try {
    socket.query(batch, "look for nf_tables table " + table, [&](const NetlinkReply& reply) {
      const auto attributes = reply.attributes<nfgenmsg>();
      found = NftTable{attributes.be32(NFTA_TABLE_FLAGS).value_or(0), attributes.find(NFTA_TABLE_OWNER).has_value()};
    });
  } catch (const Error& error) {
    if (error.number() != ENOENT) throw;
  }
  return found;
}

bool has_set(NetlinkSocket& socket, NftFamily family, const std::string& table, const std::string& set) {
  NetlinkBatch batch;
  batch.message(nft_type(NFT_MSG_GETSET), 0, nft_header(static_cast<std::uint8_t>(family)));
  batch.text(NFTA_SET_TABLE, table).text(NFTA_SET_NAME, set);
  try {
    socket.execute(batch, "look for nf_tables set " + set);
    return true;
  } catch (const Error& error) {
    if (error.number() != ENOENT) throw;
    return false;
  }
}

std::vector<NftElement> list_elements(NetlinkSocket& socket, NftFamily family, const std::string& table,
                                      const std::string& set) {
  NetlinkBatch batch;
  batch.message(nft_type(NFT_MSG_GETSETELEM), 0, nft_header(static_cast<std::uint8_t>(family)));
  batch.text(NFTA_SET_ELEM_LIST_TABLE, table).text(NFTA_SET_ELEM_LIST_SET, set);
  std::vector<NftElement> elements;
  const auto take = [&](unsigned, std::span<const std::byte> bytes) {
    const NetlinkAttributes element(bytes);
    elements.push_back({copy_of(element.nested(NFTA_SET_ELEM_KEY).find(NFTA_DATA_VALUE)),
                        copy_of(element.nested(NFTA_SET_ELEM_DATA).find(NFTA_DATA_VALUE))});
  };
  socket.dump(
      batch, "list elements of nf_tables set " + set,
      [&](const NetlinkReply& reply) { reply.attributes<nfgenmsg>().nested(NFTA_SET_ELEM_LIST_ELEMENTS).each(take); },
      [&] { elements.clear(); });
  return elements;
}

std::vector<std::string> forward_chains_that_drop(NetlinkSocket& socket, const std::string& except_table) {
  NetlinkBatch batch;
  batch.message(nft_type(NFT_MSG_GETCHAIN), 0, nft_header(NFPROTO_UNSPEC));
  std::vector<std::string> chains;
  const auto take = [&](const NetlinkReply& reply) {
    const auto attributes = reply.attributes<nfgenmsg>();
    const auto hook = attributes.nested(NFTA_CHAIN_HOOK).be32(NFTA_HOOK_HOOKNUM);
    const std::string table = attributes.text(NFTA_CHAIN_TABLE);
    if (hook != NF_INET_FORWARD || attributes.be32(NFTA_CHAIN_POLICY) != NF_DROP || table == except_table) return;
    const std::uint8_t family = reply.header<nfgenmsg>().nfgen_family;
    const char* prefix = family == NFPROTO_IPV4   ? "ip"
                         : family == NFPROTO_IPV6 ? "ip6"
                         : family == NFPROTO_INET ? "inet"
                                                  : nullptr;
    if (prefix != nullptr) chains.push_back(fmt::format("{} {} {}", prefix, table, attributes.text(NFTA_CHAIN_NAME)));
  };
  socket.dump(batch, "list nf_tables chains", take, [&] { chains.clear(); });
  return chains;
}

NftWatch::NftWatch() : socket_(NETLINK_NETFILTER), stop_(::eventfd(0, EFD_CLOEXEC)) {
  if (!stop_) fail_errno("eventfd");
  socket_.join(NFNLGRP_NFTABLES);
}

void NftWatch::stop() { ::eventfd_write(stop_.get(), 1); }

NftWatch::News NftWatch::wait(const std::string& table) {
  pollfd waits[] = {{stop_.get(), POLLIN, 0}, {socket_.get(), POLLIN, 0}};
  if (::poll(waits, 2, -1) < 0 && errno != EINTR) fail_errno("poll");
  if (waits[0].revents != 0) return News::stopped;
  if (waits[1].revents == 0) return News::other;
  bool removed = false;
  const bool intact = socket_.receive([&](const NetlinkReply& reply) {
    if (reply.type == nft_type(NFT_MSG_DELTABLE))
      removed |= reply.attributes<nfgenmsg>().text(NFTA_TABLE_NAME) == table;
  });
  return removed || !intact ? News::removed : News::other;
}

}  // namespace bryo::kernel
