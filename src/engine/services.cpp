#include "engine/services.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/log.hpp"
#include "kernel/files.hpp"
#include "kernel/private_directory.hpp"
#include "kernel/user_namespace.hpp"

namespace bryo::engine {
namespace {

constexpr std::size_t kMaxThreads = 256;
constexpr std::string_view kKind = "network";
constexpr int kMostAttempts = 8;
constexpr std::size_t kMaxProfile = 1U << 20;

std::string read_seccomp_profile(const std::string& asked) {
  if (asked.empty() || asked == "builtin") return {};
  if (asked == "unconfined") return asked;
  try {
    const UniqueFd file = kernel::open_at(AT_FDCWD, asked, O_RDONLY);
    std::string text = kernel::read_file(file.get(), kMaxProfile);
    json::parse(text);
    return text;
  } catch (const Error& error) {
    throw error.within("--seccomp-profile " + asked);
  }
}

kernel::CgroupLayout cgroup_layout(const Options& options) {
  if (!options.rootless) return kernel::CgroupLayout::detect();
  return options.rootless->cgroups ? options.rootless->cgroups->layout() : kernel::CgroupLayout();
}

// Containers are shown the hierarchies that we make cgroups in, be there others.
runtime::HostFacts host_facts(const kernel::CgroupLayout& cgroups) {
  runtime::HostFacts facts = runtime::gather_host_facts();
  facts.unified_cgroups = cgroups.version() == kernel::CgroupVersion::v2;
  if (facts.unified_cgroups || cgroups.version() == kernel::CgroupVersion::none) facts.hierarchies.clear();
  return facts;
}

}  // namespace

void NetworkDocuments::put(std::string_view key, const json::Value& document) {
  documents_.put({std::string(kKind), scope_, std::string(key)}, json::serialize(document));
}

void NetworkDocuments::erase(std::string_view key) { documents_.erase({std::string(kKind), scope_, std::string(key)}); }

std::vector<std::pair<std::string, json::Value>> NetworkDocuments::list() {
  std::vector<std::pair<std::string, json::Value>> out;
  for (const auto& document : documents_.list(kKind, scope_))
    out.emplace_back(document.key.id, json::parse(document.text));
  return out;
}

// SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: without it a signal may come between the exchange of a socket and the answer.
constexpr std::uint32_t kKernelWithBypass = 5019;

network::NetworkOptions network_options(const Options& options) {
  network::NetworkOptions out;
  if (!options.bridge.empty()) out.bridge = options.bridge;
  out.bip = options.bip;
  out.fixed_cidr = options.fixed_cidr;
  out.fixed_cidr_v6 = options.fixed_cidr_v6;
  out.default_gateway = options.default_gateway;
  for (const AddressPool& pool : options.default_address_pools)
    out.default_address_pools.push_back({pool.base, pool.size});
  out.mtu = options.mtu;
  out.ip_forward = options.ip_forward;
  out.ip_masq = options.ip_masq;
  out.icc = options.icc;
  out.ipv6 = options.ipv6;
  out.firewall = options.nat_rules;
  out.default_publish_ip = options.default_publish_ip;
  out.inherited = options.inherited_ports;
  if (options.rootless) {
    out.bypass = options.rootless->outside != nullptr && runtime::gather_host_facts().kernel >= kKernelWithBypass;
    out.dns_relay = options.rootless->dns_relay;
    out.host_address = options.rootless->host_address;
    out.outside = options.rootless->outside;
    out.outer_ports = options.rootless->outer_ports;
  }
  // Two engines on one host are told apart by their bridge (tests run several at once).
  if (out.bridge != "bryo0" && out.bridge != "none") out.tag = "bryo-" + out.bridge;
  return out;
}

Services::Services(Options from)
    : options(std::move(from)),
      data_root(options.data_root),
      documents(options.data_root),
      ids(options, documents),
      containers_directory(data_root.scoped_directory(ids.scope(), "containers")),
      runtime_root(options.exec_root + "/containers"),
      bundles(options.exec_root),
      blobs(data_root, documents),
      layers(data_root, documents),
      snapshots(storage::make_snapshot_driver(options.storage_driver, data_root, documents, layers)),
      volumes(data_root, documents),
      images(data_root, documents, blobs, layers, *snapshots, options.isolated_images ? ids.scope() : ""),
      cgroups(cgroup_layout(options)),
      facts(host_facts(cgroups)),
      seccomp_profile(read_seccomp_profile(options.seccomp_profile)),
      network_documents(documents, ids.scope()),
      networks(network_options(options), network_documents),
      pool(kMaxThreads),
      readers(kMaxThreads),
      events(pool) {
  data_root.scoped_directory(ids.scope(), "volumes");
  data_root.scoped_directory(ids.scope(), "network");
  kernel::make_private_directory(options.exec_root);
  kernel::make_private_directory(runtime_root);
  apparmor = std::make_unique<AppArmor>(
      facts.apparmor && !options.rootless && ::geteuid() == 0 && kernel::in_initial_user_namespace(),
      options.exec_root);
}

void Services::remove_runtime_directory(const std::string& id) const {
  const UniqueFd root = kernel::open_at(AT_FDCWD, runtime_root, O_RDONLY | O_DIRECTORY);
  // The monitor answers before it writes its one file, so that file may come while the directory goes.
  for (int attempt = 0;; ++attempt) {
    try {
      kernel::remove_tree(root.get(), id);
      return;
    } catch (const Error& error) {
      if (error.number() != ENOTEMPTY || attempt == kMostAttempts) throw;
    }
  }
}

void Services::save(const Record& record) { documents.put_as({"container", record.scope, record.id}, record); }

void Services::save_later(const Record& record, std::function<void()> saved) {
  documents.defer({storage::DocumentStore::change({"container", record.scope, record.id}, record)},
                  [id = record.id, saved = std::move(saved)](std::exception_ptr failed) {
                    try {
                      if (failed) std::rethrow_exception(failed);
                      if (saved) saved();
                    } catch (const std::exception& error) {
                      log::error("save container {}: {}", id, error.what());
                    }
                  });
}

void Services::on_host_network(const std::function<void()>& errand) const {
  if (options.rootless && options.rootless->outside)
    options.rootless->outside->run_beside(errand);
  else
    errand();
}

LimitRules Services::limit_rules() const {
  if (options.rootless && options.rootless->cgroups) options.rootless->cgroups->keep();
  // BPF programs for devices are root's (bpf(2), BPF_PROG_TYPE_CGROUP_DEVICE).
  return {.cgroups = cgroups,
          .strict = options.strict_limits,
          .device_rules = !options.rootless,
          .remedy = [this](std::string_view controller) { return cgroup_remedy(controller); }};
}

std::string Services::cgroup_remedy(std::string_view controller) const {
  if (options.rootless && options.rootless->cgroups) return options.rootless->cgroups->remedy(controller);
  return controller.empty() ? "this host has no cgroups: mount cgroup2 on /sys/fs/cgroup"
                            : "this host does not have it: mount or enable it";
}

void Services::publish(const Record& record, std::string action, Labels more) {
  more.insert(record.config.labels.begin(), record.config.labels.end());
  more["image"] = record.image_ref;
  more["name"] = record.name;
  events.publish("container", std::move(action), record.id, std::move(more));
}

void Services::publish(Container& container, std::string action, Labels more) {
  std::unique_lock lock(container.mutex);
  const Record record = container.record;
  lock.unlock();
  publish(record, std::move(action), std::move(more));
}

}  // namespace bryo::engine
