// Every check against a made-up host: good, bad, and one that does not tell.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <cerrno>
#include <fstream>
#include <iterator>
#include <map>

#include "base/json.hpp"
#include "rootless/doctor/checks.hpp"

namespace bryo::rootless::doctor {
namespace {

using ids::IdKind;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr const char* kCgroup2 = "30 24 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n";
constexpr const char* kCgroup1 = "32 31 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";
constexpr const char* kManager = "/sys/fs/cgroup/user.slice/user-1001.slice/user@1001.service";

// A machine on which everything is as it should be: Debian with systemd and cgroup v2.
class FakeHost final : public Host {
 public:
  Standing caller = Standing::user;
  ids::User who{"penguin", 1001, 1001};
  std::map<std::string, std::string> variables{{"XDG_RUNTIME_DIR", "/run/user/1001"}, {"DOCKER_CONTEXT", "bryo"}};
  std::map<std::string, std::string> texts{
      {"/proc/sys/user/max_user_namespaces", "96365\n"},
      {"/proc/self/status", "Name:\tx\nNoNewPrivs:\t0\n"},
      {"/proc/self/mountinfo", kCgroup2},
      {"/proc/self/cgroup", "0::/user.slice/user-1001.slice/session-1.scope\n"},
      {std::string(kManager) + "/cgroup.controllers", "cpuset cpu io memory pids\n"},
      {"/proc/sys/net/ipv4/ip_unprivileged_port_start", "80\n"},
      {"/etc/os-release", "ID=ubuntu\nID_LIKE=debian\n"}};
  std::map<std::string, FileFacts> files{{"/usr/bin/newuidmap", {S_IFREG | 04755, 0, false}},
                                         {"/usr/bin/newgidmap", {S_IFREG | 0755, 0, true}},
                                         {"/dev/net/tun", {S_IFCHR | 0666, 0, false}},
                                         {"/run/systemd/system", {S_IFDIR | 0755, 0, false}},
                                         {"/run/user/1001", {S_IFDIR | 0700, 1001, false}},
                                         {"/var/lib/systemd/linger/penguin", {S_IFREG | 0644, 0, false}},
                                         {kManager, {S_IFDIR | 0755, 1001, false}},
                                         {"/opt/bryo/bryod", {S_IFREG | 0755, 0, false}},
                                         {"/opt/bryo/bryo-monitor", {S_IFREG | 0755, 0, false}},
                                         {"/opt/bryo/bryo-init", {S_IFREG | 0755, 0, false}},
                                         {"/opt/bryo/bryo-usernet", {S_IFREG | 0755, 0, false}}};
  std::map<std::string, std::string> programs{{"newuidmap", "/usr/bin/newuidmap"},
                                              {"newgidmap", "/usr/bin/newgidmap"},
                                              {"useradd", "/usr/sbin/useradd"},
                                              {"docker", "/usr/bin/docker"}};
  bool may_write = true;
  FilesystemFacts disk{"/home/penguin", "ext4", false, false, false, false, 50ULL << 30, 1000000, true};
  std::map<std::string, FilesystemFacts> disks;
  SubordinateFacts ranges{{{ids::HostId{231072}, 65536}}, {}, 300000, {}};
  std::optional<ids::User> dockremap;
  std::map<std::string, SocketOwner> sockets{{"/run/user/1001/systemd/private", {7, "systemd"}}};
  std::string release = "6.1.0-13-amd64";
  std::map<Attempt, Outcome> failures;

  Standing standing() const override { return caller; }
  const ids::User& user() const override { return who; }
  std::string home() const override { return "/home/penguin"; }
  std::string data_root() const override { return "/home/penguin/.local/share/bryo"; }
  std::string program_directory() const override { return directory; }
  std::string variable(const std::string& name) const override { return find(variables, name).value_or(""); }
  std::optional<std::string> text(const std::string& path) const override { return find(texts, path); }
  std::optional<FileFacts> file(const std::string& path) const override { return find(files, path); }
  bool writable(const std::string&) const override { return may_write; }
  FilesystemFacts filesystem(const std::string& path) const override { return find(disks, path).value_or(disk); }
  std::optional<std::string> find_program(const std::string& name) const override { return find(programs, name); }
  SubordinateFacts subordinate(IdKind, const ids::User&) const override { return ranges; }
  std::optional<ids::User> account(const std::string&) const override { return dockremap; }
  std::optional<SocketOwner> socket_owner(const std::string& path) const override { return find(sockets, path); }
  std::string kernel_release() const override { return release; }
  const Outcome& attempt(Attempt what) const override {
    static const Outcome good{true, 0, {}};
    const auto bad = failures.find(what);
    return bad == failures.end() ? good : bad->second;
  }

  std::string directory = "/opt/bryo";

  void refuse(Attempt what, int number) { failures[what] = {false, number, "the kernel said no"}; }

 private:
  template <typename Value>
  static std::optional<Value> find(const std::map<std::string, Value>& map, const std::string& key) {
    const auto found = map.find(key);
    return found == map.end() ? std::nullopt : std::optional<Value>(found->second);
  }
};

class Doctor : public ::testing::Test {
 protected:
  FakeHost host;
};

auto says(State state, const std::string& detail, const std::string& fix) {
  return AllOf(Field("state", &Finding::state, state), Field("detail", &Finding::detail, HasSubstr(detail)),
               Field("fix", &Finding::fix,
                     fix.empty() ? ::testing::Matcher<std::string>(IsEmpty())
                                 : ::testing::Matcher<std::string>(HasSubstr(fix))));
}
auto is_fine() { return says(State::ok, "", ""); }
auto is_beside_the_point() { return says(State::not_applicable, "", ""); }

TEST_F(Doctor, AGoodHostHasNothingToMend) {
  const Report report = examine(host);
  EXPECT_TRUE(report.can_run());
  EXPECT_THAT(report.findings, Each(Field("fix", &Finding::fix, IsEmpty())));
  EXPECT_THAT(report.findings, Each(Field("state", &Finding::state, Not(State::warning))));
}

TEST_F(Doctor, OneThingMissingIsEnoughToFail) {
  host.ranges.ranges.clear();
  const Report report = examine(host);
  EXPECT_FALSE(report.can_run());
  EXPECT_THAT(as_text(report), HasSubstr("Containers cannot run here for user \"penguin\" (1001): 2 prerequisites"));
}

TEST_F(Doctor, WarningsDoNotFail) {
  host.texts["/proc/sys/net/ipv4/ip_unprivileged_port_start"] = "1024";
  EXPECT_TRUE(examine(host).can_run());
  EXPECT_THAT(as_text(examine(host)), HasSubstr("Containers can run here for user \"penguin\" (1001): 1 warning.\n"));
}

TEST_F(Doctor, TheReportIsJsonForScripts) {
  host.programs.erase("newuidmap");
  const auto report = json::parse(as_json(examine(host))).as_object();
  EXPECT_FALSE(report.at("CanRun").as_bool());
  bool found = false;
  for (const auto& check : report.at("Checks").as_array())
    if (check.at("Name") == "newuidmap") {
      found = true;
      EXPECT_EQ(check.at("State"), "missing");
      EXPECT_EQ(check.at("Fix"), "sudo apt-get install -y uidmap");
    }
  EXPECT_TRUE(found);
}

TEST_F(Doctor, RootNeedsNoSubordinateIdsOfItsOwn) {
  host.caller = Standing::host_root;
  host.ranges.ranges.clear();
  host.programs.erase("newuidmap");
  EXPECT_TRUE(examine(host).can_run());
  EXPECT_THAT(check_subordinate(host, IdKind::user), is_beside_the_point());
  EXPECT_THAT(check_map_program(host, IdKind::user), is_beside_the_point());
}

// --- becoming root in a user namespace

TEST_F(Doctor, UserNamespaces) {
  EXPECT_THAT(check_user_namespaces(host), is_fine());
  host.refuse(Attempt::user_namespace, EPERM);
  EXPECT_THAT(check_user_namespaces(host), says(State::missing, "the kernel said no", ""));
  host.caller = Standing::host_root;
  EXPECT_THAT(check_user_namespaces(host), says(State::warning, "--userns-remap", ""));
}

TEST_F(Doctor, MaxUserNamespaces) {
  const std::string file = "/proc/sys/user/max_user_namespaces";
  EXPECT_THAT(check_max_user_namespaces(host), is_fine());
  host.texts[file] = "0\n";
  EXPECT_THAT(check_max_user_namespaces(host), says(State::missing, "is 0", "user.max_user_namespaces=28633"));
  host.texts[file] = "5\n";
  EXPECT_THAT(check_max_user_namespaces(host), says(State::warning, "only 5", "sudo sysctl --system"));
  host.texts[file] = "many\n";
  EXPECT_THAT(check_max_user_namespaces(host), says(State::warning, "cannot tell", ""));
  host.texts.erase(file);
  EXPECT_THAT(check_max_user_namespaces(host), is_beside_the_point());
}

TEST_F(Doctor, UnprivilegedClone) {
  EXPECT_THAT(check_unprivileged_clone(host), is_beside_the_point());
  host.texts["/proc/sys/kernel/unprivileged_userns_clone"] = "1\n";
  EXPECT_THAT(check_unprivileged_clone(host), is_fine());
  host.texts["/proc/sys/kernel/unprivileged_userns_clone"] = "0\n";
  EXPECT_THAT(check_unprivileged_clone(host), says(State::missing, "only root", "kernel.unprivileged_userns_clone=1"));
  host.caller = Standing::host_root;
  EXPECT_THAT(check_unprivileged_clone(host), is_beside_the_point());
}

TEST_F(Doctor, AppArmorOfUbuntu) {
  const std::string file = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";
  EXPECT_THAT(check_apparmor(host), is_beside_the_point());
  host.texts[file] = "0\n";
  EXPECT_THAT(check_apparmor(host), is_fine());
  host.texts[file] = "1\n";
  EXPECT_THAT(check_apparmor(host), says(State::ok, "are allowed", ""));
  host.refuse(Attempt::mapped_namespace, EPERM);
  EXPECT_THAT(check_apparmor(host), says(State::missing, "in /opt/bryo have none",
                                         "  userns,\\n}\\n' | sudo tee /etc/apparmor.d/opt.bryo.bryo "
                                         ">/dev/null && sudo apparmor_parser -r /etc/apparmor.d/opt.bryo.bryo"));
}

TEST_F(Doctor, AppArmorWithoutTheSwitchOfUbuntu) {
  host.texts["/proc/self/attr/apparmor/current"] = "firejail (enforce)\n";
  EXPECT_THAT(check_apparmor(host), is_beside_the_point());
  host.refuse(Attempt::user_namespace, EPERM);
  EXPECT_THAT(check_apparmor(host), is_beside_the_point());
  host.refuse(Attempt::user_namespace, EACCES);
  host.refuse(Attempt::mapped_namespace, EACCES);
  EXPECT_THAT(check_apparmor(host), says(State::missing, "under the profile \"firejail\"", "apparmor_parser -r"));
  host.texts["/proc/self/attr/apparmor/current"] = "unconfined\n";
  EXPECT_THAT(check_apparmor(host), is_beside_the_point());
}

TEST_F(Doctor, TheProfileOfAStrangePlaceMatchesNothingElse) {
  EXPECT_THAT(apparmor_profile("/home/a b/{x}*@"),
              HasSubstr("profile home.a_b._x___.bryo \"/home/a b/\\{x\\}\\*\\@/{bryod,"));
  host.directory = "/opt/100%'s\\";
  host.texts["/proc/sys/kernel/apparmor_restrict_unprivileged_userns"] = "1\n";
  host.refuse(Attempt::mapped_namespace, EPERM);
  EXPECT_THAT(check_apparmor(host), says(State::missing, "", "\"/opt/100%%'\\''s\\\\\\\\/{bryod,"));
}

TEST_F(Doctor, TheProfileNamesTheRealPlace) {
  EXPECT_THAT(apparmor_profile("/home/a/.local/bin"),
              AllOf(HasSubstr("\"/home/a/.local/bin/{bryod,"), HasSubstr("profile home.a..local.bin.bryo "),
                    HasSubstr("flags=(unconfined)"), HasSubstr("\n  userns,\n")));
}

TEST_F(Doctor, TheShippedProfileIsTheOneForUsrBin) {
  std::ifstream file(BRYO_SOURCE_DIR "/packaging/apparmor/bryo");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), apparmor_profile("/usr/bin"));
}

TEST_F(Doctor, NoNewPrivileges) {
  EXPECT_THAT(check_no_new_privileges(host), is_fine());
  host.texts["/proc/self/status"] = "NoNewPrivs:\t1\n";
  EXPECT_THAT(check_no_new_privileges(host), says(State::missing, "newuidmap has no power", "NoNewPrivileges=no"));
  host.texts.erase("/proc/self/status");
  EXPECT_THAT(check_no_new_privileges(host), says(State::warning, "cannot tell", ""));
}

TEST_F(Doctor, SubordinateIds) {
  EXPECT_THAT(check_subordinate(host, IdKind::user), says(State::ok, "65536 ids, from 231072", ""));
  host.ranges.ranges.clear();
  EXPECT_THAT(check_subordinate(host, IdKind::user), says(State::missing, "no subordinate user ids in /etc/subuid",
                                                          "sudo usermod --add-subuids 300000-365535 penguin"));
  EXPECT_THAT(check_subordinate(host, IdKind::group),
              says(State::missing, "/etc/subgid", "sudo usermod --add-subgids 300000-365535 penguin"));
  host.ranges.ranges = {{ids::HostId{231072}, 1000}, {ids::HostId{500000}, 24}};
  EXPECT_THAT(check_subordinate(host, IdKind::user), says(State::warning, "only 1024 user ids", "--add-subuids"));
}

TEST_F(Doctor, SubordinateIdsThatOthersHave) {
  host.ranges.overlaps = {{"bozo", {ids::HostId{200000}, 65536}}};
  EXPECT_THAT(check_subordinate(host, IdKind::user),
              says(State::warning, "\"bozo\" (200000-265535)",
                   "sudo usermod --del-subuids 231072-296607 --add-subuids 300000-365535 penguin"));
}

TEST_F(Doctor, SubordinateIdsThatCannotBeRead) {
  host.ranges.problem = "/etc/subuid:3: not a number";
  EXPECT_THAT(check_subordinate(host, IdKind::user), says(State::missing, "/etc/subuid:3", "sudoedit /etc/subuid"));
}

TEST_F(Doctor, MapPrograms) {
  EXPECT_THAT(check_map_program(host, IdKind::user), says(State::ok, "set-uid root", ""));
  EXPECT_THAT(check_map_program(host, IdKind::group), says(State::ok, "file capabilities", ""));
  host.files["/usr/bin/newuidmap"].mode = S_IFREG | 0755;
  EXPECT_THAT(check_map_program(host, IdKind::user),
              says(State::missing, "not set-uid root", "sudo chmod u+s /usr/bin/newuidmap"));
  host.files["/usr/bin/newuidmap"] = {S_IFREG | 04755, 1001, false};
  EXPECT_THAT(check_map_program(host, IdKind::user), says(State::missing, "not set-uid root", "sudo chown root:root"));
  host.files.erase("/usr/bin/newuidmap");
  EXPECT_THAT(check_map_program(host, IdKind::user), says(State::warning, "cannot tell", ""));
}

TEST_F(Doctor, MapProgramsOnANosuidMount) {
  host.disks["/usr/bin/newuidmap"] = {"/usr/bin", "ext4", true, false, false, false, 1, 1, true};
  EXPECT_THAT(check_map_program(host, IdKind::user), says(State::missing, "mounted nosuid", "remount,suid"));
}

TEST_F(Doctor, TheFixIsTheHostsOwnCommand) {
  host.programs.erase("newuidmap");
  const auto fix = [&](const char* release) {
    host.texts["/etc/os-release"] = release;
    return check_map_program(host, IdKind::user).fix;
  };
  EXPECT_EQ(fix("ID=debian\n"), "sudo apt-get install -y uidmap");
  EXPECT_EQ(fix("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"), "sudo dnf install -y shadow-utils");
  EXPECT_EQ(fix("ID=alpine\n"), "sudo apk add shadow-uidmap");
  EXPECT_EQ(fix("ID=arch\n"), "sudo pacman -S --noconfirm shadow");
  EXPECT_EQ(fix("ID=\"opensuse-leap\"\nID_LIKE=\"suse opensuse\"\n"), "sudo zypper install -y shadow");
  EXPECT_THAT(fix("ID=own\n"), HasSubstr("Debian calls uidmap"));
}

TEST_F(Doctor, MappedNamespace) {
  EXPECT_THAT(check_mapped_namespace(host), is_fine());
  host.refuse(Attempt::mapped_namespace, EPERM);
  EXPECT_THAT(check_mapped_namespace(host), says(State::missing, "the kernel said no", ""));
  host.caller = Standing::namespace_root;
  EXPECT_THAT(check_mapped_namespace(host), is_beside_the_point());
}

TEST_F(Doctor, UsernsRemap) {
  EXPECT_THAT(check_userns_remap(host), is_beside_the_point());
  host.caller = Standing::host_root;
  EXPECT_THAT(check_userns_remap(host), says(State::ok, "will add the user dockremap", ""));
  host.programs.clear();
  EXPECT_THAT(check_userns_remap(host), says(State::warning, "neither useradd nor adduser", "passwd"));
  host.dockremap = {"dockremap", 990, 990};
  EXPECT_THAT(check_userns_remap(host), says(State::ok, "has 65536 ids", ""));
  host.ranges.overlaps = {{"penguin", {ids::HostId{231072}, 65536}}};
  EXPECT_THAT(check_userns_remap(host), says(State::warning, "belong to \"penguin\"", "sudoedit /etc/subuid"));
  host.ranges = {{}, {}, 1, "/etc/subuid:1: bad"};
  EXPECT_THAT(check_userns_remap(host), says(State::warning, "/etc/subuid:1", "sudoedit"));
}

// --- storage

TEST_F(Doctor, DataFilesystem) {
  EXPECT_THAT(check_data_filesystem(host), is_fine());
  for (const char* type : {"nfs4", "cifs", "smb3", "gpfs", "fuse.sshfs", "ceph", "lustre", "overlay"}) {
    host.disk.type = type;
    EXPECT_THAT(check_data_filesystem(host),
                says(State::warning, type, "\"data-root\": \"/var/tmp/bryo-penguin\"}' > "));
  }
  host.files["/home/penguin/.config/bryo/daemon.json"] = {S_IFREG | 0644, 1001, false};
  EXPECT_THAT(check_data_filesystem(host), says(State::warning, "", "set \"data-root\""));
  host.refuse(Attempt::overlay, EINVAL);
  EXPECT_THAT(check_data_filesystem(host), says(State::warning, "overlay does not work there", "data-root"));
}

TEST_F(Doctor, MountOptions) {
  EXPECT_THAT(check_mount_options(host), is_fine());
  host.disk.nodev = true;
  EXPECT_THAT(check_mount_options(host), says(State::ok, "nodev", ""));
  host.disk.nosuid = true;
  EXPECT_THAT(check_mount_options(host), says(State::warning, "nosuid", "remount,suid"));
  host.disk.noexec = true;
  EXPECT_THAT(check_mount_options(host), says(State::warning, "noexec", "remount,exec"));
  host.disk.read_only = true;
  EXPECT_THAT(check_mount_options(host), says(State::missing, "read-only", "remount,rw"));
}

TEST_F(Doctor, Overlay) {
  EXPECT_THAT(check_overlay(host), says(State::ok, "userxattr", ""));
  host.refuse(Attempt::overlay, EINVAL);
  EXPECT_THAT(check_overlay(host), says(State::warning, "vfs", "data-root"));
  host.refuse(Attempt::overlay, ENODEV);
  EXPECT_THAT(check_overlay(host), says(State::warning, "vfs", "modprobe -a overlay"));
}

TEST_F(Doctor, FuseOverlayfsInsteadOfOverlay) {
  host.refuse(Attempt::overlay, EINVAL);
  EXPECT_THAT(check_overlay(host), says(State::warning, "is not installed", "apt-get install -y fuse-overlayfs"));
  host.programs["fuse-overlayfs"] = "/usr/bin/fuse-overlayfs";
  EXPECT_THAT(check_overlay(host), says(State::warning, "needs /dev/fuse", "modprobe -a fuse"));
  host.files["/dev/fuse"] = {S_IFCHR | 0600, 0, false};
  host.may_write = false;
  EXPECT_THAT(check_overlay(host), says(State::warning, "allowed to open /dev/fuse", "sudo chmod 0666 /dev/fuse"));
  host.may_write = true;
  EXPECT_THAT(check_overlay(host), says(State::warning, "bryod will use fuse-overlayfs", "data-root"));
  host.caller = Standing::host_root;
  EXPECT_THAT(check_overlay(host), says(State::warning, "vfs", "data-root"));
}

TEST_F(Doctor, IdmappedLayers) {
  EXPECT_THAT(check_idmapped_overlay(host), is_beside_the_point());
  host.caller = Standing::host_root;
  EXPECT_THAT(check_idmapped_overlay(host), is_fine());
  host.refuse(Attempt::idmapped_overlay, EINVAL);
  EXPECT_THAT(check_idmapped_overlay(host), says(State::warning, "another map", ""));
}

TEST_F(Doctor, DiskSpace) {
  EXPECT_THAT(check_disk_space(host), says(State::ok, "50 GiB free", ""));
  host.disk.free_inodes = 10;
  EXPECT_THAT(check_disk_space(host), says(State::warning, "10 more files", "prune"));
  host.disk.counts_inodes = false;  // btrfs
  EXPECT_THAT(check_disk_space(host), is_fine());
  host.disk.free_bytes = 500U << 20;
  EXPECT_THAT(check_disk_space(host), says(State::warning, "500 MiB", "prune"));
  host.disk.free_bytes = 1U << 20;
  EXPECT_THAT(check_disk_space(host), says(State::missing, "no room", "prune"));
}

TEST_F(Doctor, Selinux) {
  EXPECT_THAT(check_selinux(host), is_beside_the_point());
  host.texts["/sys/fs/selinux/enforce"] = "0";
  EXPECT_THAT(check_selinux(host), is_fine());
  host.texts["/sys/fs/selinux/enforce"] = "1";
  EXPECT_THAT(check_selinux(host), says(State::ok, "enforcing", ""));
  host.refuse(Attempt::overlay, EACCES);
  host.texts["/etc/os-release"] = "ID=fedora\n";
  EXPECT_THAT(check_selinux(host), says(State::warning, "cannot be mounted", "dnf install -y container-selinux"));
}

// --- network

TEST_F(Doctor, Tun) {
  EXPECT_THAT(check_tun(host), is_fine());
  host.refuse(Attempt::tap_device, EACCES);
  host.files["/dev/net/tun"].mode = S_IFCHR | 0600;
  EXPECT_THAT(check_tun(host), says(State::warning, "no way out", "sudo chmod 0666 /dev/net/tun"));
  host.refuse(Attempt::tap_device, ENODEV);
  EXPECT_THAT(check_tun(host), says(State::warning, "no way out", "modprobe -a tun"));
  host.refuse(Attempt::tap_device, EIO);
  EXPECT_THAT(check_tun(host), says(State::warning, "the kernel said no", ""));
  host.files.erase("/dev/net/tun");
  EXPECT_THAT(check_tun(host), says(State::warning, "there is no /dev/net/tun", "modprobe -a tun"));
}

TEST_F(Doctor, BridgesAndTables) {
  EXPECT_THAT(check_bridge(host), is_fine());
  EXPECT_THAT(check_nftables(host), is_fine());
  host.refuse(Attempt::bridge, EOPNOTSUPP);
  host.refuse(Attempt::nftables, ENOENT);
  EXPECT_THAT(
      check_bridge(host),
      says(
          State::missing, "the kernel said no",
          "sudo modprobe -a bridge veth && printf 'bridge\\nveth\\n' | sudo tee /etc/modules-load.d/bryo-bridge.conf"));
  EXPECT_THAT(check_nftables(host), says(State::missing, "the kernel said no", "modprobe -a nf_tables nft_ct"));
}

TEST_F(Doctor, TransparentSockets) {
  EXPECT_THAT(check_transparent_sockets(host), is_fine());
  host.refuse(Attempt::transparent_socket, EPERM);
  EXPECT_THAT(check_transparent_sockets(host), says(State::warning, "instead of the client's", ""));
}

TEST_F(Doctor, LowPorts) {
  const std::string file = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
  EXPECT_THAT(check_low_ports(host), is_fine());
  host.texts[file] = "1024\n";
  EXPECT_THAT(check_low_ports(host), says(State::warning, "below 1024", "net.ipv4.ip_unprivileged_port_start=80"));
  host.texts[file] = "?";
  EXPECT_THAT(check_low_ports(host), says(State::warning, "cannot tell", ""));
  host.texts.erase(file);
  EXPECT_THAT(check_low_ports(host), is_beside_the_point());
}

TEST_F(Doctor, Ping) {
  EXPECT_THAT(check_ping(host), is_fine());
  host.refuse(Attempt::ping_socket, EACCES);
  EXPECT_THAT(check_ping(host), says(State::warning, "the kernel said no", "net.ipv4.ping_group_range=0 2147483647"));
}

// --- kernel, cgroups, session

TEST_F(Doctor, Kernel) {
  EXPECT_THAT(check_kernel(host), is_fine());
  host.release = "5.4.0-100-generic";
  EXPECT_THAT(check_kernel(host), says(State::warning, "5.11", "install a kernel"));
  host.release = "unheard of";
  EXPECT_THAT(check_kernel(host), is_fine());
  host.refuse(Attempt::system_calls, ENOSYS);
  EXPECT_THAT(check_kernel(host), says(State::missing, "lacks a system call", "install a kernel"));
}

TEST_F(Doctor, SeccompNotify) {
  EXPECT_THAT(check_seccomp(host), is_fine());
  host.refuse(Attempt::seccomp_notify, EINVAL);
  EXPECT_THAT(check_seccomp(host), says(State::warning, "--network bypass", ""));
}

TEST_F(Doctor, Cgroups) {
  EXPECT_THAT(check_cgroups(host), says(State::ok, "version 2", ""));
  host.texts["/proc/self/mountinfo"] = kCgroup1;
  EXPECT_THAT(check_cgroups(host), says(State::warning, "version 1", "unified_cgroup_hierarchy=1"));
  host.files.erase("/run/systemd/system");
  EXPECT_THAT(check_cgroups(host), says(State::warning, "version 1", ""));
  host.caller = Standing::host_root;
  EXPECT_THAT(check_cgroups(host), is_fine());
  host.texts.erase("/proc/self/mountinfo");
  EXPECT_THAT(check_cgroups(host), says(State::warning, "no cgroups", "mount -t cgroup2"));
}

TEST_F(Doctor, Delegation) {
  EXPECT_THAT(check_delegation(host), is_fine());
  host.texts[std::string(kManager) + "/cgroup.controllers"] = "memory pids\n";
  EXPECT_THAT(check_delegation(host), says(State::warning, "cpu cpuset io", "Delegate=cpu cpuset io memory pids"));
  host.texts.erase(std::string(kManager) + "/cgroup.controllers");
  EXPECT_THAT(check_delegation(host), says(State::warning, "cannot tell", ""));
  host.may_write = false;
  EXPECT_THAT(check_delegation(host), says(State::warning, "not yours to divide", "enable-linger penguin"));
  host.texts["/proc/self/mountinfo"] = kCgroup1;
  EXPECT_THAT(check_delegation(host), is_beside_the_point());
}

TEST_F(Doctor, DelegationWithoutSystemd) {
  host.files.erase("/run/systemd/system");
  host.files.erase(kManager);
  host.texts["/proc/self/cgroup"] = "0::/users/penguin\n";
  host.may_write = false;
  EXPECT_THAT(check_delegation(host),
              says(State::warning, "/sys/fs/cgroup/users/penguin is not yours",
                   "sudo chown penguin /sys/fs/cgroup/users/penguin /sys/fs/cgroup/users/penguin/cgroup.procs"));
}

TEST_F(Doctor, SystemdAndLinger) {
  EXPECT_THAT(check_systemd(host), is_fine());
  EXPECT_THAT(check_linger(host), is_fine());
  host.sockets.clear();
  host.files.erase("/var/lib/systemd/linger/penguin");
  EXPECT_THAT(check_systemd(host), says(State::warning, "no user manager", "enable-linger penguin"));
  EXPECT_THAT(check_linger(host), says(State::warning, "log out", "enable-linger penguin"));
  host.files.erase("/run/systemd/system");
  EXPECT_THAT(check_systemd(host), is_beside_the_point());
  EXPECT_THAT(check_linger(host), is_beside_the_point());
}

TEST_F(Doctor, RuntimeDirectory) {
  EXPECT_THAT(check_runtime_directory(host), is_fine());
  host.files["/run/user/1001"].mode = S_IFDIR | 0755;
  EXPECT_THAT(check_runtime_directory(host), says(State::warning, "open to others", "chmod 700"));
  host.variables["XDG_RUNTIME_DIR"] = "/run/user/0";
  EXPECT_THAT(check_runtime_directory(host),
              says(State::missing, "no directory of yours", "export XDG_RUNTIME_DIR=/run/user/1001"));
  host.variables.erase("XDG_RUNTIME_DIR");
  EXPECT_THAT(check_runtime_directory(host), says(State::warning, "not set", "export XDG_RUNTIME_DIR=/run/user/1001"));
  host.files.erase("/run/user/1001");
  EXPECT_THAT(check_runtime_directory(host), says(State::warning, "/tmp/bryo-1001", "enable-linger"));
}

TEST_F(Doctor, Programs) {
  EXPECT_THAT(check_programs(host), is_fine());
  host.disks["/opt/bryo"] = {"/opt/bryo", "ext4", false, true, false, false, 1, 1, true};
  EXPECT_THAT(check_programs(host), says(State::missing, "noexec", "--prefix"));
  host.files.erase("/opt/bryo/bryo-monitor");
  EXPECT_THAT(check_programs(host), says(State::missing, "/opt/bryo/bryo-monitor is not there", "unpack"));
}

TEST_F(Doctor, DockerSocket) {
  EXPECT_THAT(check_docker_socket(host), says(State::ok, "free", ""));
  host.sockets["/run/user/1001/docker.sock"] = {9, "bryod"};
  EXPECT_THAT(check_docker_socket(host), is_fine());
  host.sockets["/run/user/1001/docker.sock"] = {9, "dockerd"};
  EXPECT_THAT(check_docker_socket(host),
              says(State::warning, "dockerd (process 9)", "DOCKER_HOST=unix:///run/user/1001/bryo/bryo.sock"));
  host.sockets["/run/user/1001/docker.sock"] = {9, ""};
  EXPECT_THAT(check_docker_socket(host), says(State::warning, "another program", "DOCKER_HOST"));
}

TEST_F(Doctor, DockerClient) {
  EXPECT_THAT(check_docker_client(host), is_fine());
  host.variables.erase("DOCKER_CONTEXT");
  EXPECT_THAT(check_docker_client(host), says(State::warning, "context default", "DOCKER_HOST"));
  host.files["/home/penguin/.docker/contexts/meta"] = {S_IFDIR | 0755, 1001, false};
  host.texts["/home/penguin/.docker/config.json"] = R"({"currentContext": "rootless"})";
  EXPECT_THAT(check_docker_client(host), says(State::warning, "context rootless", "docker context use bryo"));
  host.texts["/home/penguin/.docker/config.json"] = R"({"currentContext": "bryo"})";
  EXPECT_THAT(check_docker_client(host), is_fine());
  host.variables["DOCKER_HOST"] = "tcp://elsewhere:2375";
  EXPECT_THAT(check_docker_client(host), says(State::warning, "elsewhere", "export DOCKER_HOST=unix://"));
  host.variables["DOCKER_HOST"] = "unix:///run/user/1001/docker.sock";
  EXPECT_THAT(check_docker_client(host), is_fine());
  host.programs.erase("docker");
  EXPECT_THAT(check_docker_client(host), is_beside_the_point());
}

}  // namespace
}  // namespace bryo::rootless::doctor
