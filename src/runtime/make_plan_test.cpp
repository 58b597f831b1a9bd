// spec → plan without a kernel.
#include "runtime/make_plan.hpp"

#include <gmock/gmock.h>
#include <sys/mount.h>

#include "base/error.hpp"
#include "runtime/default_spec.hpp"

namespace bryo::runtime {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

HostFacts plain_facts() {
  HostFacts facts;
  facts.kernel = 6001;
  facts.capabilities = (std::uint64_t{1} << 41) - 1;
  facts.unified_cgroups = true;
  facts.host_mqueue = true;
  return facts;
}

RootfsSource root() {
  RootfsSource source;
  source.path = "/bundle/rootfs";
  return source;
}

oci::RuntimeSpec mapped(oci::RuntimeSpec spec) {
  spec.linux_->namespaces.push_back({"user", ""});
  spec.linux_->uid_mappings = {{0, 165536, 1000}};
  spec.linux_->gid_mappings = {{0, 165536, 1000}};
  return spec;
}

std::string failure(const oci::RuntimeSpec& spec, const HostFacts& facts = plain_facts()) {
  try {
    return "no error: " + to_text(make_plan(spec, facts, root()));
  } catch (const Error& error) {
    return error.message();
  }
}

oci::Mount bind(const std::string& source, const std::string& target, std::vector<std::string> options = {"rbind"}) {
  return {target, "bind", source, std::move(options), {}, {}};
}

TEST(MakePlan, GoldenDefault) {
  const std::string expected = R"(namespaces
  user new
  mnt new
  pid new
  net new
  ipc new
  uts new
  cgroup new
  uid_map [0 165536 1000]
  gid_map [0 165536 1000]
root
  directory /bundle/rootfs
sources
  0 tmpfs for devices (mode=755,size=65536k) owner=165536:165536 nosuid strictatime
      directory pts
      directory mqueue
      directory shm
      node null c 1:3 0666 165536:165536
      node zero c 1:5 0666 165536:165536
      node full c 1:7 0666 165536:165536
      node random c 1:8 0666 165536:165536
      node urandom c 1:9 0666 165536:165536
      node tty c 5:0 0666 165536:165536
      link fd -> /proc/self/fd
      link stdin -> /proc/self/fd/0
      link stdout -> /proc/self/fd/1
      link stderr -> /proc/self/fd/2
      link ptmx -> pts/ptmx
      link core -> /proc/kcore
  1 clone /data recursively idmap=container ro rprivate
steps
  attach the root file system
  mount proc on /proc nosuid nodev noexec (no links)
  attach source 0 on /dev (no links)
  mount devpts on /dev/pts (newinstance,ptmxmode=0666,mode=0620,gid=5) nosuid noexec
  mount sysfs on /sys ro nosuid nodev noexec (no links)
  mount cgroup2 on /sys/fs/cgroup ro nosuid nodev noexec
  mount mqueue on /dev/mqueue nosuid nodev noexec
  mount tmpfs on /dev/shm (mode=1777,size=65536k) nosuid nodev noexec
  attach source 1 on /volume
  lo up
  sysctl net/ipv4/ip_forward = 1
  hostname bryo
  read-only /proc/sys
  mask /proc/kcore
  root file system read-only
  pivot_root
process
  session keyring _ses.x
  cwd (made if missing) /
  umask 0022
  bounding set CAP_CHOWN
  groups 5 6
  gid 5
  uid 5
  limit RLIMIT_NOFILE 1024 1024
  no_new_privs
  permitted CAP_CHOWN
  effective none
  inheritable none
  ambient none
  env PATH=/bin
  arg sh
)";
  oci::RuntimeSpec spec = mapped(default_spec());
  spec.process->env = {"PATH=/bin"};
  spec.process->capabilities = oci::LinuxCapabilities{{"CAP_CHOWN"}, {}, {}, {"CAP_CHOWN"}, {}};
  spec.process->user = {5, 5, {}, {6, 5}, ""};
  spec.linux_->masked_paths = {"/proc/kcore"};
  spec.linux_->readonly_paths = {"/proc/sys"};
  spec.linux_->sysctl = {{"net.ipv4.ip_forward", "1"}};
  spec.mounts.push_back(bind("/data", "/volume", {"rbind", "ro", "rprivate", "idmap"}));
  PlanOptions options;
  options.keyring_name = "_ses.x";
  EXPECT_EQ(to_text(make_plan(spec, plain_facts(), root(), options)), expected);
}

TEST(MakePlan, GroupsThatTheMapLacksLeaveTheTerminalToRoot) {
  oci::RuntimeSpec spec = mapped(default_spec());
  spec.linux_->gid_mappings = {{0, 165536, 3}};
  EXPECT_THAT(to_text(make_plan(spec, plain_facts(), root())), Not(HasSubstr("gid=5")));
}

TEST(MakePlan, HostNamespacesUnderAMapAreTakenFromTheHost) {
  oci::RuntimeSpec spec = mapped(default_spec());
  std::erase_if(spec.linux_->namespaces,
                [](const auto& n) { return n.type == "network" || n.type == "ipc" || n.type == "pid"; });
  const std::string text = to_text(make_plan(spec, plain_facts(), root()));
  EXPECT_THAT(text, HasSubstr("clone /proc nosuid nodev noexec rprivate"));
  EXPECT_THAT(text, HasSubstr("clone /sys ro nosuid nodev noexec rprivate"));
  EXPECT_THAT(text, HasSubstr("clone /dev/mqueue"));
  EXPECT_THAT(text, Not(HasSubstr("lo up")));
  HostFacts facts = plain_facts();
  facts.host_mqueue = false;
  EXPECT_THAT(to_text(make_plan(spec, facts, root())), HasSubstr("warning /dev/mqueue is left out"));
}

TEST(MakePlan, HierarchiesOfV1AreMountedOneByOne) {
  HostFacts facts = plain_facts();
  facts.unified_cgroups = false;
  facts.hierarchies = {{"cpu,cpuacct", "cpu,cpuacct", "/sys/fs/cgroup/cpu,cpuacct"},
                       {"name=systemd", "systemd", "/sys/fs/cgroup/systemd"}};
  std::string text = to_text(make_plan(default_spec(), facts, root()));
  EXPECT_THAT(text, HasSubstr("link cpu -> cpu,cpuacct\n      link cpuacct -> cpu,cpuacct"));
  EXPECT_THAT(text, HasSubstr("mount cgroup on /sys/fs/cgroup/cpu,cpuacct (cpu,cpuacct) ro"));
  EXPECT_THAT(text, HasSubstr("mount cgroup on /sys/fs/cgroup/systemd (none,name=systemd) ro"));
  EXPECT_THAT(text, HasSubstr("change /sys/fs/cgroup ro"));
  // Without a namespace: its own directories.
  oci::RuntimeSpec spec = default_spec();
  std::erase_if(spec.linux_->namespaces, [](const auto& n) { return n.type == "cgroup"; });
  PlanOptions options;
  options.cgroup_path = "/bryo/c";
  text = to_text(make_plan(spec, facts, root(), options));
  EXPECT_THAT(text, HasSubstr("clone /sys/fs/cgroup/systemd/bryo/c ro nosuid nodev noexec private"));
}

TEST(MakePlan, CVE_2023_25809_HostCgroupsUnderAMapAreReadOnly) {
  oci::RuntimeSpec spec = mapped(default_spec());
  std::erase_if(spec.linux_->namespaces, [](const auto& n) { return n.type == "cgroup"; });
  for (auto& mount : spec.mounts)
    if (mount.type == "cgroup") mount.options = {"rw", "nosuid"};
  PlanOptions options;
  options.cgroup_path = "/bryo/c";
  EXPECT_THAT(to_text(make_plan(spec, plain_facts(), root(), options)), HasSubstr("clone /sys/fs/cgroup/bryo/c ro"));
}

TEST(MakePlan, LaunchersThatMayNotMakeNodesBindThem) {
  HostFacts facts = plain_facts();
  facts.in_user_namespace = true;
  const std::string text = to_text(make_plan(default_spec(), facts, root()));
  EXPECT_THAT(text, Not(HasSubstr("node null")));
  EXPECT_THAT(text, HasSubstr("clone device /dev/null c 1:3"));
  EXPECT_THAT(text, HasSubstr("on /dev/null"));
}

TEST(MakePlan, PropagationIsPrivateUnlessAsked) {
  oci::RuntimeSpec spec = default_spec();
  spec.mounts = {bind("/a", "/a"), bind("/b", "/b", {"rbind", "rshared"}), bind("/c", "/c", {"bind", "slave"})};
  std::string text = to_text(make_plan(spec, plain_facts(), root()));
  EXPECT_THAT(text, HasSubstr("clone /a recursively rprivate"));
  EXPECT_THAT(text, HasSubstr("clone /b recursively rshared"));
  EXPECT_THAT(text, HasSubstr("clone /c slave"));
  // Under a map, never a peer of the host's own mounts.
  spec = mapped(spec);
  const LaunchPlan plan = make_plan(spec, plain_facts(), root());
  EXPECT_EQ(std::get<BindSource>(plan.sources[1]).attributes.propagation, std::uint64_t{MS_SLAVE | MS_SHARED});
}

TEST(MakePlan, RefusalsNameTheField) {
  oci::RuntimeSpec spec = default_spec();
  spec.process->args.clear();
  EXPECT_THAT(failure(spec), HasSubstr("process.args"));
  spec = default_spec();
  spec.process->cwd = "relative";
  EXPECT_THAT(failure(spec), HasSubstr("process.cwd"));
  spec = default_spec();
  spec.process->rlimits = {{"RLIMIT_NOFILE", 1, 2}};
  EXPECT_THAT(failure(spec), HasSubstr("soft limit 2 is above the hard limit 1"));
  spec = default_spec();
  spec.process->rlimits = {{"RLIMIT_BOGUS", 1, 1}};
  EXPECT_THAT(failure(spec), HasSubstr("RLIMIT_BOGUS"));
  spec = default_spec();
  spec.process->env = {std::string("A=\0B", 4)};
  EXPECT_THAT(failure(spec), HasSubstr("process.env"));
  spec = default_spec();
  spec.linux_->namespaces.push_back({"pid", ""});
  EXPECT_THAT(failure(spec), HasSubstr("pid is there twice"));
  spec = default_spec();
  std::erase_if(spec.linux_->namespaces, [](const auto& n) { return n.type == "mount"; });
  EXPECT_THAT(failure(spec), HasSubstr("mount namespace"));
  spec = default_spec();
  std::erase_if(spec.linux_->namespaces, [](const auto& n) { return n.type == "uts"; });
  EXPECT_THAT(failure(spec), HasSubstr("private UTS namespace"));
  spec = default_spec();
  spec.linux_->devices = {{"/dev/x", "z", 1, 1, {}, {}, {}}};
  EXPECT_THAT(failure(spec), HasSubstr("linux.devices[0].type"));
  spec = default_spec();
  spec.mounts[1].destination = "";
  EXPECT_THAT(failure(spec), HasSubstr("mounts[1].destination"));
  spec = default_spec();
  spec.process->apparmor_profile = "p";
  EXPECT_THAT(failure(spec), HasSubstr("AppArmor is not enabled"));
}

// --- mounts ---

LaunchPlan plan_with(const oci::Mount& mount, const std::string& bundle = "") {
  oci::RuntimeSpec spec = default_spec();
  spec.mounts = {mount};
  PlanOptions options;
  options.bundle = bundle;
  return make_plan(spec, plain_facts(), root(), options);
}

std::string refusal_of(const oci::Mount& mount) {
  oci::RuntimeSpec spec = default_spec();
  spec.mounts = {mount};
  return failure(spec);
}

TEST(MakePlan, PathsOfMountsMayBeRelative) {
  const LaunchPlan plan = plan_with({"a/../m", "none", "data/./x", {"rbind"}, {}, {}}, "/bundle");
  EXPECT_EQ(std::get<BindSource>(plan.sources[0]).path, "/bundle/data/x");
  EXPECT_THAT(to_text(plan), HasSubstr("attach source 0 on /m\n"));
  EXPECT_THAT(to_text(plan), HasSubstr("warning mounts[0].destination: a/../m is relative"));
  EXPECT_THAT(refusal_of({"/m", "none", "data", {"rbind"}, {}, {}}),
              HasSubstr("mounts[0].source: data is not absolute"));
}

TEST(MakePlan, RecursiveAttributesAreForTheTreeOrForAllThatIsThere) {
  const LaunchPlan bound = plan_with(bind("/d", "/m", {"rbind", "rro", "nosuid", "rnodev", "rsuid"}));
  const MountAttributes& attributes = std::get<BindSource>(bound.sources[0]).attributes;
  EXPECT_EQ(attributes.set, std::uint64_t{MOUNT_ATTR_NOSUID});
  EXPECT_EQ(attributes.set_recursive, std::uint64_t{MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV});
  EXPECT_EQ(attributes.clear_recursive, std::uint64_t{MOUNT_ATTR_NOSUID});
  EXPECT_THAT(to_text(plan_with({"/t", "tmpfs", "tmpfs", {"rro", "size=1m", "sync", "loud", "iversion"}, {}, {}})),
              HasSubstr("mount tmpfs on /t (size=1m,sync) ro\n"));
}

TEST(MakePlan, RemountMountsNothing) {
  const LaunchPlan plan = plan_with({"/m", "bind", "/d", {"bind", "remount", "ro", "nosuid"}, {}, {}});
  EXPECT_TRUE(plan.sources.empty());
  EXPECT_THAT(to_text(plan), HasSubstr("change /m ro nosuid\n"));
  EXPECT_THAT(refusal_of({"/m", "tmpfs", "", {"remount", "size=1m"}, {}, {}}), HasSubstr("mounts[0].options: remount"));
}

TEST(MakePlan, OptionsThatSayNothingAboutAMountAreRefused) {
  EXPECT_THAT(refusal_of({"/m", "tmpfs", "", {"idmap"}, {}, {}}), HasSubstr("mounts[0]: only bind mounts"));
  EXPECT_THAT(refusal_of(bind("/d", "/m", {"rbind", "tmpcopyup"})), HasSubstr("mounts[0].options: tmpcopyup"));
  EXPECT_THAT(refusal_of({"/m", "bind", "/d", {"bind"}, {{0, 1, 0}}, {{0, 1, 1}}}), HasSubstr("mounts[0].uidMappings"));
  EXPECT_THAT(refusal_of(bind("/d", "/m", {"rbind", "idmap=uids=0-1-1"})), HasSubstr("write the map as uidMappings"));
  EXPECT_THAT(refusal_of({"", "tmpfs", "", {}, {}, {}}), HasSubstr("mounts[0].destination: missing"));
  EXPECT_THAT(to_text(plan_with({"/m", "tmpfs", "", {"tmpcopyup"}, {}, {}})), HasSubstr("(copy up)"));
}

TEST(MakePlan, RootfsPropagation) {
  oci::RuntimeSpec spec = default_spec();
  const auto last_line = [&](const std::string& value) {
    spec.linux_->rootfs_propagation = value;
    return to_text(make_plan(spec, plain_facts(), root()));
  };
  EXPECT_THAT(last_line("rshared"), HasSubstr("pivot_root rshared\n"));
  EXPECT_THAT(last_line("slave"), HasSubstr("pivot_root slave\n"));
  EXPECT_THAT(last_line("rprivate"), HasSubstr("pivot_root\n"));
}

TEST(MakePlan, MountLabelIsTheContextOfOurFileSystems) {
  oci::RuntimeSpec spec = default_spec();
  spec.linux_->mount_label = "u:o:t:s0";
  EXPECT_THAT(failure(spec), HasSubstr("linux.mountLabel: SELinux is not enabled"));
  HostFacts facts = plain_facts();
  facts.selinux = true;
  const std::string text = to_text(make_plan(spec, facts, root()));
  EXPECT_THAT(text, HasSubstr("size=65536k,context=u:o:t:s0) owner"));
  EXPECT_THAT(text, HasSubstr("gid=5,context=u:o:t:s0)"));
}

TEST(MakePlan, ClassesOfServiceAreIntels) {
  oci::RuntimeSpec spec = default_spec();
  spec.linux_->intel_rdt = oci::LinuxIntelRdt{"", "L3:0=7f", "MB:0=50", false, true};
  EXPECT_THAT(failure(spec), HasSubstr("linux.intelRdt: no resctrl"));
  HostFacts facts = plain_facts();
  facts.resctrl = "/sys/fs/resctrl";
  PlanOptions options;
  options.container_id = "box";
  const auto text = [&] { return to_text(make_plan(spec, facts, root(), options)); };
  EXPECT_THAT(text(), HasSubstr("resctrl /sys/fs/resctrl/box (made if missing) (L3:0=7f,MB:0=50) monitored as box\n"));
  EXPECT_EQ(resctrl_leftovers(spec, facts.resctrl, "box"), std::vector<std::string>{"/sys/fs/resctrl/box"});
  spec.linux_->intel_rdt = oci::LinuxIntelRdt{"named", "", "", true, false};
  EXPECT_THAT(text(), HasSubstr("resctrl /sys/fs/resctrl/named monitored as box\n")) << "it must be there";
  EXPECT_EQ(resctrl_leftovers(spec, facts.resctrl, "box"),
            std::vector<std::string>{"/sys/fs/resctrl/named/mon_groups/box"});
  spec.linux_->intel_rdt = oci::LinuxIntelRdt{"/", "", "", false, false};
  EXPECT_THAT(text(), HasSubstr("resctrl /sys/fs/resctrl\n"));
  EXPECT_TRUE(resctrl_leftovers(spec, facts.resctrl, "box").empty());
  for (const char* name : {"../x", "a/b", ".."}) {
    spec.linux_->intel_rdt->clos_id = name;
    EXPECT_THAT(failure(spec, facts), HasSubstr("linux.intelRdt.closID")) << name;
  }
  spec.linux_->intel_rdt = oci::LinuxIntelRdt{"x", "", "L3:0=1", false, false};
  EXPECT_THAT(failure(spec, facts), HasSubstr("linux.intelRdt.memBwSchema"));
  // Of runtime-spec 1.3: whatever lines, behind the others, and monitoring by one word.
  spec.linux_->intel_rdt = oci::LinuxIntelRdt{"", "L3:0=1", "", false, false, {"L2:0=3"}, true};
  EXPECT_THAT(text(), HasSubstr("(L3:0=1,L2:0=3) monitored as box\n"));
  spec.linux_->intel_rdt->schemata = {"L2:0=3\nL3:0=f"};
  EXPECT_THAT(failure(spec, facts), HasSubstr("linux.intelRdt.schemata"));
}

TEST(MakePlan, SchedulersThatTheKernelWouldRefuse) {
  const auto with = [](const oci::Scheduler& scheduler) {
    oci::RuntimeSpec spec = default_spec();
    spec.process->scheduler = scheduler;
    return failure(spec);
  };
  EXPECT_THAT(with({"SCHED_OTHER", 20, 0, {}, 0, 0, 0}), HasSubstr("process.scheduler.nice"));
  EXPECT_THAT(with({"SCHED_OTHER", 0, 1, {}, 0, 0, 0}), HasSubstr("process.scheduler.priority"));
  EXPECT_THAT(with({"SCHED_RR", 0, 100, {}, 0, 0, 0}), HasSubstr("process.scheduler.priority"));
  EXPECT_THAT(with({"SCHED_DEADLINE", 0, 0, {}, 3, 2, 0}), HasSubstr("SCHED_DEADLINE wants"));
  EXPECT_THAT(with({"SCHED_DEADLINE", 0, 0, {}, 1, 2, 3}), HasSubstr("no error"));
  EXPECT_THAT(with({"SCHED_FIFO", 0, 99, {}, 0, 0, 0}), HasSubstr("no error"));
}

TEST(MakePlan, ListsOfCpus) {
  oci::RuntimeSpec spec = default_spec();
  const auto with = [&](const std::string& text) {
    spec.process->exec_cpu_affinity = oci::ExecCpuAffinity{text, ""};
    return make_exec_plan(*spec.process, spec, plain_facts()).process.initial_cpus;
  };
  EXPECT_EQ(with("0-3,7"), CpuSet{0x8f});
  EXPECT_EQ(with("64"), (CpuSet{0, 1}));
  EXPECT_EQ(with(""), CpuSet{});
  for (const char* bad : {"x", "3-1", "-1", "1-", ",", "0x1", "9000", "1,,2"}) EXPECT_THROW(with(bad), Error) << bad;
}

TEST(MakePlan, MapsAreChecked) {
  oci::RuntimeSpec spec = mapped(default_spec());
  spec.process->user.uid = 1000;
  EXPECT_THAT(failure(spec), HasSubstr("process.user.uid: id 1000 is not in the container's id map"));
  spec = mapped(default_spec());
  spec.linux_->uid_mappings = {{0, 0, 1000}};
  EXPECT_THAT(failure(spec), HasSubstr("host's 0"));
  spec = mapped(default_spec());
  spec.linux_->uid_mappings = {{0, 1000, 10}, {5, 2000, 10}};
  EXPECT_THAT(failure(spec), HasSubstr("overlap"));
  spec = mapped(default_spec());
  spec.linux_->gid_mappings.clear();
  EXPECT_THAT(failure(spec), HasSubstr("needs both"));
  spec = default_spec();
  spec.linux_->uid_mappings = {{0, 1000, 10}};
  EXPECT_THAT(failure(spec), HasSubstr("without a user namespace"));
}

TEST(MakePlan, CVE_2024_40635_IdsAreWhatTheyAreOrNothing) {
  oci::RuntimeSpec spec = default_spec();
  spec.process->user.uid = UINT32_MAX;
  EXPECT_THAT(failure(spec), HasSubstr("4294967295 is no id"));
}

TEST(MakePlan, CVE_2022_0811_OnlySysctlsOfTheContainersNamespaces) {
  const auto with = [](const std::string& key, const std::string& value, const char* without = "") {
    oci::RuntimeSpec spec = default_spec();
    std::erase_if(spec.linux_->namespaces, [&](const auto& n) { return n.type == without; });
    spec.linux_->sysctl = {{key, value}};
    return failure(spec);
  };
  for (const char* key : {"kernel.core_pattern", "kernel.panic", "vm.swappiness", "fs.file-max",
                          "net/../kernel/core_pattern", "net.ipv4..x", "kernel", "", "user.max_user_namespaces"})
    EXPECT_THAT(with(key, "1"), Not(HasSubstr("no error"))) << key;
  EXPECT_THAT(with("kernel.shm_rmid_forced", "1+kernel.core_pattern=|/x"), HasSubstr("no error"))
      << "one file, one write";
  EXPECT_THAT(with("net.ipv4.ip_forward", "1\nx"), HasSubstr("control character"));
  // GHSA-w2j5-3rcx-vx7x: the host's namespaces are the host's.
  EXPECT_THAT(with("net.ipv4.ip_forward", "1", "network"), HasSubstr("not allowed in the host's net namespace"));
  EXPECT_THAT(with("kernel.msgmax", "1", "ipc"), HasSubstr("not allowed in the host's ipc namespace"));
  // Either separator.
  EXPECT_THAT(with("net.ipv4.conf.eth0/1.rp_filter", "1"), HasSubstr("sysctl net/ipv4/conf/eth0.1/rp_filter = 1"));
}

TEST(MakePlan, CVE_2019_16884_NothingIsMountedOnOrInProc) {
  for (const char* target : {"/proc", "/proc/", "/proc/self", "/x/../proc/self/attr", "/proc/sys/kernel"}) {
    oci::RuntimeSpec spec = default_spec();
    spec.mounts.push_back(bind("/data", target));
    EXPECT_THAT(failure(spec), HasSubstr("inside /proc")) << target;
    spec.mounts.back() = {target, "tmpfs", "tmpfs", {}, {}, {}};
    EXPECT_THAT(failure(spec), HasSubstr("inside /proc")) << target;
  }
  // What LXCFS needs.
  oci::RuntimeSpec spec = default_spec();
  spec.mounts.push_back(bind("/var/lib/lxcfs/proc/meminfo", "/proc/meminfo"));
  EXPECT_THAT(failure(spec), HasSubstr("no error"));
}

TEST(MakePlan, ReadOnlyDevIsMadeSoAtTheEnd) {
  oci::RuntimeSpec spec = default_spec();
  for (auto& mount : spec.mounts)
    if (mount.destination == "/dev") mount.options.emplace_back("ro");
  const LaunchPlan plan = make_plan(spec, plain_facts(), root());
  EXPECT_EQ(std::get<DeviceTreeSource>(plan.sources[0]).attributes & MOUNT_ATTR_RDONLY, 0U);
  EXPECT_THAT(to_text(plan), HasSubstr("change /dev ro"));
}

TEST(MakePlan, DevOfTheHostIsLeftAsItIs) {
  oci::RuntimeSpec spec = default_spec();
  spec.mounts = {bind("/dev", "/dev")};
  const std::string text = to_text(make_plan(spec, plain_facts(), root()));
  EXPECT_THAT(text, Not(HasSubstr("node ")));
  EXPECT_THAT(text, Not(HasSubstr("link ")));
}

TEST(MakePlan, ExecJoinsWhatTheContainerHas) {
  const oci::RuntimeSpec spec = mapped(default_spec());
  const ExecPlan plan = make_exec_plan(*spec.process, spec, plain_facts());
  EXPECT_EQ(plan.namespaces.front(), Namespace::user);
  EXPECT_EQ(plan.namespaces.size(), 7U);
  EXPECT_FALSE(plan.process.create_working_directory);
  EXPECT_EQ(plan.maps.uid, "0 165536 1000\n");
}

}  // namespace
}  // namespace bryo::runtime
