#include "engine/id_policy.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/strings.hpp"
#include "ids/keep_id.hpp"
#include "ids/own_namespace.hpp"

namespace bryo::engine {

class IdPolicy::Journal final : public ids::RangeJournal {
 public:
  explicit Journal(storage::DocumentStore& documents) : documents_(documents) {}
  ids::RangeCursor load() override { return documents_.get_as<ids::RangeCursor>(kKey).value_or(ids::RangeCursor{}); }
  void save(const ids::RangeCursor& cursor) override {
    documents_.transaction_async({storage::DocumentStore::change(kKey, cursor)}, [](std::exception_ptr) {});
  }

 private:
  inline static const storage::DocumentKey kKey{"range-cursor", "", "auto"};
  storage::DocumentStore& documents_;
};

IdPolicy::IdPolicy(const Options& options, storage::DocumentStore& documents)
    : userns_default_(options.userns_default), documents_(documents), journal_(std::make_unique<Journal>(documents)) {
  if (!userns_default_.empty() && !ids::AutoOptions::parse(userns_default_))
    fail(ErrorKind::invalid_argument, "invalid --userns \"{}\": expected auto or auto:size=N",
         printable(userns_default_));
  if (options.rootless) {
    if (!options.userns_remap.empty())
      fail(ErrorKind::unsupported,
           "--userns-remap={}: bryod runs without root, and every container is in a user namespace already",
           printable(options.userns_remap));
    rootless_ = true;
    maps_ = ids::within_own_namespace();
    return;
  }
  if (options.userns_remap.empty()) return;
  ids::NssAccounts accounts;
  const auto remap = ids::resolve_remap(ids::RemapSpec::parse(options.userns_remap), accounts, ids::SubordinateIds());
  for (const std::string& warning : remap.warnings) log::warning("{}", warning);
  if (remap.maps.is_identity()) return;
  log::info("User namespaces: ID ranges will be mapped to subuid/subgid ranges of: {}:{}", remap.user, remap.group);
  maps_ = remap.maps;
  scope_ = maps_.directory_name();
  user_ = remap.user;
  group_ = remap.group;
}

IdPolicy::~IdPolicy() = default;

MapMode IdPolicy::mode_of(std::string_view userns) const {
  if (userns.empty()) {
    if (!userns_default_.empty()) return MapMode::automatic;
    return remapped() ? MapMode::daemon : MapMode::host;
  }
  if (userns == "host") return MapMode::host;
  if (ids::AutoOptions::parse(userns)) return MapMode::automatic;
  if (ids::KeepIdOptions::parse(userns)) {
    if (rootless_) return MapMode::keep_id;
    fail(ErrorKind::unsupported, "--userns={}: only an engine without root runs as its caller and can keep the caller's id",
         printable(userns));
  }
  fail(ErrorKind::invalid_argument, "invalid userns mode \"{}\": expected host, auto[:size=N] or keep-id[:uid=N,gid=N]",
       printable(userns));
}

ids::IdMaps IdPolicy::maps_for(MapMode mode, const std::string& container, std::string_view userns,
                               std::uint32_t needed) {
  switch (mode) {
    case MapMode::host:
      return rootless_ ? maps_ : ids::IdMaps::identity();
    case MapMode::daemon:
      return maps_;
    case MapMode::keep_id:
      return ids::keep_id_maps(ids::outside_of_own_namespace(), *ids::KeepIdOptions::parse(userns));
    case MapMode::automatic:
      break;
  }
  const auto options = ids::AutoOptions::parse(userns.empty() ? std::string_view(userns_default_) : userns);
  return allocator().allocate(container, needed, options.value_or(ids::AutoOptions{}));
}

void IdPolicy::release(const std::string& container) {
  std::lock_guard lock(mutex_);
  if (allocator_) allocator_->release(container);
}

ids::RangeAllocator& IdPolicy::allocator() {
  std::lock_guard lock(mutex_);
  if (!allocator_) {
    std::vector<ids::RangeLease> leases;
    for (const auto& document : documents_.list("container")) {
      const auto record = json::decode<Record>(json::parse(document.text));
      if (record.map_mode == to_string(MapMode::automatic)) leases.push_back({record.id, record.maps});
    }
    std::vector<ids::IdMaps> reserved;
    if (remapped() && !rootless_) reserved.push_back(maps_);
    allocator_ = std::make_unique<ids::RangeAllocator>(
        rootless_ ? own_pool() : ids::RangeAllocator::find_pool(ids::NssAccounts(), ids::SubordinateIds()), leases,
        reserved, *journal_);
  }
  return *allocator_;
}

// The ids of our namespace but 0, which is the caller. Containers without --userns=auto have all of them: those with it
// share none with each other.
ids::RangeAllocator::Pool IdPolicy::own_pool() const {
  ids::RangeAllocator::Pool pool{"the caller", {}, {}};
  const auto add = [](const ids::IdMap& map, std::vector<ids::SubRange>& ranges) {
    for (const ids::IdRange& range : map.ranges()) {
      const std::uint32_t first = std::max(ids::value(range.host), 1U);
      const std::uint32_t count = range.size - (first - ids::value(range.host));
      if (count > 0) ranges.push_back({ids::HostId{first}, count});
    }
  };
  add(maps_.uid, pool.uids);
  add(maps_.gid, pool.gids);
  return pool;
}

json::Value IdPolicy::describe() const {
  json::Object out{{"Remapped", remapped()}, {"User", user_}, {"Group", group_}, {"Scope", scope_}};
  out["UidMap"] = maps_.uid.proc_text();
  out["GidMap"] = maps_.gid.proc_text();
  return out;
}

}  // namespace bryo::engine
