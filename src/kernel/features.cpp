#include "kernel/features.hpp"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstring>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "kernel/files.hpp"
#include "kernel/idmap.hpp"
#include "kernel/mounts.hpp"
#include "kernel/netlink_links.hpp"
#include "kernel/netns.hpp"
#include "kernel/nftables.hpp"
#include "kernel/paths.hpp"
#include "kernel/raw.hpp"

namespace bryo::kernel {
namespace {

// A directory with a random name that is gone with this object.
class TrialDirectory {
 public:
  explicit TrialDirectory(const std::string& parent) : parent_(open_trusted(parent, O_RDONLY | O_DIRECTORY)) {
    std::string name = parent + "/.bryo-trial-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) fail_errno("make a directory in {}", parent);
    path_ = name;
    name_ = name.substr(parent.size() + 1);
  }
  ~TrialDirectory() {
    try {
      remove_tree(parent_.get(), name_);
    } catch (const Error&) {
      // The trial's own result counts; a directory that stays is empty of anybody's work.
    }
  }
  TrialDirectory(const TrialDirectory&) = delete;
  TrialDirectory& operator=(const TrialDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  UniqueFd parent_;
  std::string path_, name_;
};

void make_layers(const std::string& root) {
  for (const char* name : {"/lower", "/lower/layer", "/lower/layer/replaced", "/upper", "/work"})
    make_directory(AT_FDCWD, root + name, 0755);
  for (const char* name : {"/lower/layer/removed", "/lower/layer/replaced/old", "/lower/layer/kept"})
    open_at(AT_FDCWD, root + name, O_WRONLY | O_CREAT, 0644);
}

// Whiteouts and opaque directories, which are what an upper layer needs the file system for.
void change_and_check(int mount) {
  unlink_at(mount, "removed");
  const UniqueFd replaced = open_at(mount, "replaced", O_RDONLY | O_DIRECTORY);
  unlink_at(replaced.get(), "old");
  unlink_at(mount, "replaced", AT_REMOVEDIR);
  make_directory(mount, "replaced", 0755);
  const UniqueFd copied = open_at(mount, "kept", O_WRONLY);
  write_all(copied.get(), std::as_bytes(std::span("new", 3)));
  if (try_stat_at(mount, "removed") || try_stat_at(mount, "replaced/old"))
    fail(ErrorKind::unsupported, "what was removed from an overlay is still there");
}

struct Call {
  const char* name;
  long number;
};

}  // namespace

void try_tap_device() {
  const UniqueFd device = open_trusted("/dev/net/tun", O_RDWR);
  ifreq request{};
  std::strcpy(request.ifr_name, "bryotry%d");
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  if (::ioctl(device.get(), TUNSETIFF, &request) != 0) fail_errno("make a tap device (/dev/net/tun, TUNSETIFF)");
}

void try_bridge() {
  NetlinkSocket socket(NETLINK_ROUTE);
  const MacAddress mac{0x02, 0x42, 0, 0, 0, 1}, peer{0x02, 0x42, 0, 0, 0, 2};
  create_bridge(socket, {.name = "bryotrybr", .mac = mac});
  const auto bridge = find_link(socket, "bryotrybr");
  if (!bridge) fail(ErrorKind::internal, "a bridge was made and is not there");
  const UniqueFd other = make_netns();
  create_veth(socket, {.host_name = "bryotryve",
                       .bridge = bridge->index,
                       .silence_ipv6 = false,
                       .peer_name = "eth0",
                       .peer_netns = other.get(),
                       .peer_mac = peer});
  if (const auto veth = find_link(socket, "bryotryve")) delete_link(socket, veth->index);
  delete_link(socket, bridge->index);
}

void try_nftables() {
  NetlinkSocket socket(NETLINK_NETFILTER);
  constexpr int kSourceNat = 100;
  NftTransaction make(NftFamily::inet, "bryo-trial");
  make.create_table(NftOwned::no)
      .add_chain({.name = "forward", .hook = NftHook::forward})
      .add_chain({.name = "nat", .nat = true, .hook = NftHook::postrouting, .priority = kSourceNat})
      .add_rule("forward", NftRule().connection_established().verdict(NftVerdict::accept))
      .add_rule("nat", NftRule().masquerade());
  make.commit(socket, "make a table of nf_tables");
  NftTransaction remove(NftFamily::inet, "bryo-trial");
  remove.delete_table().commit(socket, "remove a table of nf_tables");
}

void try_transparent_socket() {
  const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) fail_errno("make a TCP socket");
  const int on = 1;
  if (::setsockopt(socket.get(), IPPROTO_IP, IP_TRANSPARENT, &on, sizeof on) != 0)
    fail_errno("give a socket foreign addresses (IP_TRANSPARENT)");
}

void try_ping_socket() {
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_ICMP));
  if (!socket) fail_errno("make a ping socket (IPPROTO_ICMP)");
}

void try_seccomp_notify() {
  std::array<sock_filter, 4> code{{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
                                   BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
                                   BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
                                   BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)}};
  const sock_fprog program{code.size(), code.data()};
  if (const int result = raw::prctl(PR_SET_NO_NEW_PRIVS, 1); result < 0)
    throw Error::from_errno(-result, "set no_new_privs");
  const long made = raw::call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
  if (made < 0) throw Error::from_errno(static_cast<int>(-made), "make a filter that notifies (seccomp, NEW_LISTENER)");
  const UniqueFd listener(static_cast<int>(made));
  // Nobody waits with id 0: a kernel that knows the request says ENOENT, one that does not says EINVAL.
  seccomp_notif_addfd request{};
  request.flags = SECCOMP_ADDFD_FLAG_SEND;
  request.srcfd = static_cast<__u32>(listener.get());
  ::ioctl(listener.get(), SECCOMP_IOCTL_NOTIF_ADDFD, &request);
  if (errno != ENOENT) fail_errno("put a descriptor into a watched process (SECCOMP_IOCTL_NOTIF_ADDFD)");
}

void try_new_system_calls() {
  // With descriptors that do not exist: any answer but ENOSYS comes from the call itself.
  for (const Call& call :
       {Call{"openat2", SYS_openat2}, Call{"pidfd_open", SYS_pidfd_open}, Call{"pidfd_getfd", SYS_pidfd_getfd},
        Call{"pidfd_send_signal", SYS_pidfd_send_signal}, Call{"open_tree", SYS_open_tree},
        Call{"move_mount", SYS_move_mount}, Call{"fsopen", SYS_fsopen}, Call{"mount_setattr", SYS_mount_setattr}})
    if (raw::call(call.number, -1, nullptr, nullptr, 0, 0) == -ENOSYS) throw Error::from_errno(ENOSYS, call.name);
  if (raw::close_range(1, 0, 0) == -ENOSYS) throw Error::from_errno(ENOSYS, "close_range");
}

void try_overlay(const OverlayTrial& trial) {
  const TrialDirectory directory(trial.directory);
  make_layers(directory.path());
  OverlayLayers layers;
  layers.upper = directory.path() + "/upper";
  layers.work = directory.path() + "/work";
  if (trial.userxattr) layers.options.emplace_back("userxattr");
  UniqueFd parent;
  if (trial.idmapped) {
    parent = clone_tree(AT_FDCWD, directory.path() + "/lower", false);
    const UniqueFd map = make_user_namespace("0 165536 65536\n", "0 165536 65536\n");
    idmap_mount(parent.get(), map.get());
    layers.parent = parent.get();
    layers.lower = {"layer"};
  } else {
    layers.lower = {directory.path() + "/lower/layer"};
  }
  const UniqueFd mount = overlay_mount(layers);
  const UniqueFd root = reopen(mount.get(), O_RDONLY | O_DIRECTORY);
  if (trial.idmapped) {
    if (stat_at(root.get(), "kept").st_uid != 165536)
      fail(ErrorKind::unsupported, "id-mapped layers keep their owners");
    return;  // root of the machine owns nothing there, and may change little
  }
  change_and_check(root.get());
}

}  // namespace bryo::kernel
