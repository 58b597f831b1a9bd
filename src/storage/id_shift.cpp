#include "storage/id_shift.hpp"

#include "base/error.hpp"
#include "ids/own_namespace.hpp"

namespace bryo::storage {
namespace {

constexpr std::uint32_t kNobody = 65534;

}  // namespace

IdShift::IdShift(const ids::IdMaps& maps) : none_(maps.is_identity()), maps_(maps) {}

IdShift IdShift::folded() {
  IdShift shift(ids::within_own_namespace());
  shift.folds_ = true;
  return shift;
}

kernel::Owner IdShift::to_disk(std::uint32_t uid, std::uint32_t gid) const {
  if (none_) return {uid, gid};
  const auto user = maps_.uid.to_host(ids::ContainerId{uid});
  const auto group = maps_.gid.to_host(ids::ContainerId{gid});
  if (folds_) return {user ? ids::value(*user) : kNobody, group ? ids::value(*group) : kNobody};
  if (!user || !group)
    fail(ErrorKind::invalid_argument, "owner {}:{} is outside of the {} ids that this container has: give it more", uid,
         gid, maps_.uid.size());
  return {ids::value(*user), ids::value(*group)};
}

kernel::Owner IdShift::to_archive(uid_t uid, gid_t gid) const {
  if (none_) return {uid, gid};
  const auto user = maps_.uid.to_container(ids::HostId{uid});
  const auto group = maps_.gid.to_container(ids::HostId{gid});
  return {user ? ids::value(*user) : kNobody, group ? ids::value(*group) : kNobody};
}

}  // namespace bryo::storage
