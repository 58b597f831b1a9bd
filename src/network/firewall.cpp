#include "network/firewall.hpp"

#include <linux/netlink.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "base/error.hpp"
#include "base/log.hpp"
#include "kernel/nftables.hpp"
#include "network/firewall_rules.hpp"

namespace bryo::network {

using kernel::NftFamily;
using kernel::NftOwned;
using kernel::NftTransaction;

struct Firewall::Impl {
  Impl(std::string name, FirewallOptions options) : table(std::move(name)), socket(NETLINK_NETFILTER) {
    if (!options.own) owned = false;
    layout.transparent = options.transparent;
    watcher = std::thread([this] { watch_table(); });
  }

  ~Impl() {
    watch.stop();
    watcher.join();
  }

  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  // The table as wanted, in one transaction. Under the lock.
  void load(NftOwned wanted) {
    const auto existing = kernel::find_table(socket, NftFamily::inet, table);
    const bool adopt = existing && kernel::has_set(socket, NftFamily::inet, table, layout_mark(layout));
    NftTransaction change(NftFamily::inet, table);
    if (adopt) {
      if (wanted == NftOwned::yes) change.claim_table();
      for (const std::string_view set : element_sets()) change.empty_set(set);
    } else {
      if (existing) change.delete_table();
      change.create_table(wanted);
      add_firewall_rules(change, layout);
    }
    add_all_elements(change);
    change.commit(socket, "load nf_tables table " + table);
    loaded = true;
    owned = wanted == NftOwned::yes;
  }

  // Elements of one set go together: one message for hundreds.
  void add_all_elements(NftTransaction& change) {
    std::map<std::string_view, std::vector<kernel::NftElement>> sets;
    const auto collect = [&](SetElements part) {
      auto& all = sets[part.set];
      std::move(part.elements.begin(), part.elements.end(), std::back_inserter(all));
    };
    for (const auto& [name, bridge] : bridges) {
      for (SetElements& part : elements_of(bridge)) collect(std::move(part));
    }
    for (const Translation& translation : translations) {
      for (SetElements& part : elements_of(translation)) collect(std::move(part));
    }
    for (const auto& [set, elements] : sets) change.add_elements(set, elements);
  }

  void load() {
    if (bridges.empty()) return unload();
    try {
      load_owned_if_possible();
    } catch (const Error& error) {
      if (!is_missing_part(error)) throw;
      if (!layout.transparent) throw_with_remedy(error);
      layout.transparent = false;
      load_without_addresses(error);
    }
  }

  // Where the part that is missing is the one that only the clients' addresses need.
  void load_without_addresses(const Error& first) {
    try {
      load_owned_if_possible();
    } catch (const Error& error) {
      if (!is_missing_part(error)) throw;
      throw_with_remedy(error);
    }
    log::warning(
        "published ports show the bridge's address to containers instead of the client's: {} (does this "
        "kernel have the module nft_socket? `sudo modprobe nft_socket`, then start the engine again)",
        first.message());
  }

  static bool is_missing_part(const Error& error) {
    return error.kind() == ErrorKind::not_found || error.kind() == ErrorKind::unsupported;
  }

  [[noreturn]] static void throw_with_remedy(const Error& error) {
    fail(error.kind(),
         "{}: the kernel lacks a part of nf_tables, which bridge networks need: `sudo modprobe -a nf_tables "
         "nft_chain_nat nft_ct nft_nat nft_masq nft_fib_inet`, or do without them: bryod --bridge=none",
         error.message());
  }

  void load_owned_if_possible() {
    try {
      load(owned.value_or(true) ? NftOwned::yes : NftOwned::no);
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::permission)
        throw error.within(
            "another running program owns the table: stop the other engine, or give this one its own tag");
      // Before Linux 6.9 there is no table that has an owner and outlives it.
      if (owned.has_value() || (error.kind() != ErrorKind::unsupported && error.kind() != ErrorKind::invalid_argument))
        throw;
      owned = false;
      load(NftOwned::no);
    }
  }

  void unload() {
    loaded = false;
    if (!kernel::find_table(socket, NftFamily::inet, table)) return;
    NftTransaction change(NftFamily::inet, table);
    change.delete_table().commit(socket, "remove nf_tables table " + table);
  }

  // Makes the change in the kernel; when the table has been taken away from us, loads the whole of it instead.
  void apply(NftTransaction& change, std::string_view what) {
    try {
      change.commit(socket, what);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::not_found) throw;
      load();
    }
  }

  void watch_table() {
    for (;;) {
      try {
        const auto news = watch.wait(table);
        if (news == kernel::NftWatch::News::stopped) return;
        if (news != kernel::NftWatch::News::removed) continue;
        const std::lock_guard lock(mutex);
        if (!loaded || kernel::find_table(socket, NftFamily::inet, table)) continue;
        log::warning("nf_tables table inet {} was removed by somebody else: loading it again", table);
        load();
      } catch (const Error& error) {
        log::error("watching nf_tables: {}", error.message());
        return;
      }
    }
  }

  const std::string table;
  std::mutex mutex;  // guards what follows, up to the watch
  kernel::NetlinkSocket socket;
  std::map<std::string, BridgeRules> bridges;
  std::set<Translation> translations;
  TableLayout layout;
  bool loaded = false;
  std::optional<bool> owned;  // whether the kernel knows owned tables; empty until tried
  kernel::NftWatch watch;     // the watcher's own
  std::thread watcher;
};

Firewall::Firewall(std::string tag, FirewallOptions options) : impl_(std::make_unique<Impl>(std::move(tag), options)) {}

Firewall::~Firewall() = default;

void Firewall::replace(std::vector<BridgeRules> bridges, std::vector<Translation> translations, bool close_transit) {
  const std::lock_guard lock(impl_->mutex);
  impl_->bridges.clear();
  for (BridgeRules& bridge : bridges) impl_->bridges[bridge.interface] = std::move(bridge);
  impl_->translations = {translations.begin(), translations.end()};
  impl_->layout.close_transit = close_transit;
  impl_->load();
}

void Firewall::add_bridge(const BridgeRules& bridge) {
  const std::lock_guard lock(impl_->mutex);
  if (!impl_->bridges.emplace(bridge.interface, bridge).second)
    fail(ErrorKind::conflict, "bridge {} has firewall rules already", bridge.interface);
  try {
    if (!impl_->loaded) return impl_->load();
    NftTransaction change(NftFamily::inet, impl_->table);
    for (const SetElements& part : elements_of(bridge)) change.add_elements(part.set, part.elements);
    impl_->apply(change, "add bridge " + bridge.interface + " to the firewall");
  } catch (...) {
    impl_->bridges.erase(bridge.interface);
    throw;
  }
}

void Firewall::remove_bridge(const std::string& interface) {
  const std::lock_guard lock(impl_->mutex);
  const auto found = impl_->bridges.find(interface);
  if (found == impl_->bridges.end()) return;
  const BridgeRules bridge = found->second;
  impl_->bridges.erase(found);
  if (impl_->bridges.empty()) return impl_->unload();
  NftTransaction change(NftFamily::inet, impl_->table);
  for (const SetElements& part : elements_of(bridge)) change.remove_elements(part.set, part.elements);
  impl_->apply(change, "remove bridge " + interface + " from the firewall");
}

void Firewall::add(std::span<const Translation> translations) {
  if (translations.empty()) return;
  const std::lock_guard lock(impl_->mutex);
  NftTransaction change(NftFamily::inet, impl_->table);
  for (const Translation& translation : translations) {
    for (const SetElements& part : elements_of(translation)) change.add_elements(part.set, part.elements);
    impl_->translations.insert(translation);
  }
  try {
    impl_->apply(change, "publish ports");
  } catch (...) {
    for (const Translation& translation : translations) impl_->translations.erase(translation);
    throw;
  }
}

void Firewall::remove(std::span<const Translation> translations) {
  if (translations.empty()) return;
  const std::lock_guard lock(impl_->mutex);
  NftTransaction change(NftFamily::inet, impl_->table);
  bool any = false;
  for (const Translation& translation : translations) {
    if (impl_->translations.erase(translation) == 0) continue;
    for (const SetElements& part : elements_of(translation)) change.remove_elements(part.set, part.elements);
    any = true;
  }
  if (any && impl_->loaded) impl_->apply(change, "unpublish ports");
}

void Firewall::clear() {
  const std::lock_guard lock(impl_->mutex);
  impl_->bridges.clear();
  impl_->translations.clear();
  impl_->unload();
}

bool Firewall::transparent() {
  const std::lock_guard lock(impl_->mutex);
  return impl_->layout.transparent;
}

std::vector<std::string> Firewall::foreign_drop_policies() {
  const std::lock_guard lock(impl_->mutex);
  return kernel::forward_chains_that_drop(impl_->socket, impl_->table);
}

}  // namespace bryo::network
