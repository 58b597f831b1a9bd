// Plans survive the way to the monitor, and nothing else is taken for one.
#include <gmock/gmock.h>
#include <sys/mount.h>

#include "base/error.hpp"
#include "runtime/default_spec.hpp"
#include "runtime/launch_plan.hpp"
#include "runtime/make_plan.hpp"

namespace bryo::runtime {
namespace {

// One of everything.
LaunchPlan full_plan() {
  LaunchPlan plan;
  plan.namespaces = {{Namespace::user, "", -1},
                     {Namespace::mount, "", -1},
                     {Namespace::network, "/run/netns/x", -1},
                     {Namespace::ipc, "", 2}};
  plan.maps = {"0 165536 65536\n", "0 165536 65536\n"};
  plan.rootfs.kind = RootfsSource::Kind::overlay;
  plan.rootfs.lower = {"b", "a"};
  plan.rootfs.lower_parent = "/layers";
  plan.rootfs.upper = "/upper";
  plan.rootfs.work = "/work";
  plan.rootfs.descriptor = 3;
  plan.rootfs.lower_idmap = true;
  plan.rootfs.options = {"volatile"};
  BindSource bind;
  bind.path = "/data";
  bind.root = "/volumes/v";
  bind.descriptor = 1;
  bind.recursive = true;
  bind.idmap = IdMapping::own;
  bind.maps = {"0 1 2\n", "3 4 5\n"};
  bind.attributes = {1, 2, 3, 4, MS_SLAVE, true};
  DeviceTreeSource tree;
  tree.options = {"mode=755"};
  tree.attributes = 2;
  tree.root_uid = 165536;
  tree.directories = {"pts"};
  tree.nodes = {{"null", 'c', 1, 3, 0666, 165536, 165536}};
  tree.links = {{"fd", "/proc/self/fd"}};
  plan.sources = {bind, tree, DeviceSource{"/dev/kvm", 'c', 10, 232}};
  plan.steps = {AttachRoot{},
                AttachSource{1, "/dev", true, false},
                MountFilesystem{"proc", "proc", {"hidepid=2"}, 14, MS_SLAVE, "/proc", true, true, true},
                ChangeMount{"/x", {1, 0, 0, 0, 0, false}},
                MaskPath{"/proc/kcore"},
                ReadOnlyPath{"/proc/sys"},
                MakeLink{{"/dev/fd", "/proc/self/fd"}},
                MakeNode{{"/dev/x", 'b', 8, 0, 0600, 0, 6}, true},
                SetSysctl{"net/ipv4/ip_forward", "1"},
                SetHostname{"h"},
                SetDomainname{"d"},
                SetTimeOffset{"monotonic", -5, 6},
                RaiseLoopback{},
                OpenTerminal{},
                RootReadOnly{},
                EnterRoot{MS_SHARED, true}};
  ProcessPlan& p = plan.process;
  p.arguments = {"sh", "-c", ""};
  p.environment = {"PATH=/bin"};
  p.working_directory = "/w";
  p.create_working_directory = false;
  p.uid = 1;
  p.gid = 2;
  p.groups = {2, 3};
  p.umask = 077;
  p.capabilities = {1, 2, 3, 4, 5};
  p.no_new_privileges = true;
  p.limits = {{7, 10, 20}};
  p.oom_score_adj = -3;
  p.scheduling = Scheduling{1, 2, -3, 4, 5, 6, 7};
  p.io_priority = 8;
  p.personality = 9;
  p.initial_cpus = {3};
  p.final_cpus = {0, 1};
  p.apparmor_profile = "a";
  p.selinux_label = "s";
  p.session_keyring = "k";
  p.seccomp = {{std::byte{1}, std::byte{2}}, 4, "/run/agent", "m"};
  p.terminal = true;
  p.rows = 24;
  p.columns = 80;
  plan.resctrl = ResctrlPlan{"/r/c", true, {"L3:0=1"}, "m"};
  plan.warnings = {"w"};
  return plan;
}

TEST(PlanCodec, EveryMemberSurvives) {
  const LaunchPlan plan = full_plan();
  EXPECT_EQ(deserialize_launch_plan(serialize(plan)), plan);
  ExecPlan exec;
  exec.namespaces = {Namespace::user, Namespace::pid};
  exec.maps = plan.maps;
  exec.process = plan.process;
  EXPECT_EQ(deserialize_exec_plan(serialize(exec)), exec);
}

TEST(PlanCodec, TruncatedAtEveryByteIsAnError) {
  const auto bytes = serialize(full_plan());
  for (std::size_t size = 0; size < bytes.size(); ++size)
    EXPECT_THROW(deserialize_launch_plan(std::span(bytes).first(size)), Error) << size;
}

TEST(PlanCodec, AnythingAfterTheEndIsAnError) {
  auto bytes = serialize(full_plan());
  bytes.push_back(std::byte{0});
  EXPECT_THROW(deserialize_launch_plan(bytes), Error);
}

// A length, index or enumeration changed at any place gives an error or another valid plan, never a crash or an
// allocation by the size of a lie.
TEST(PlanCodec, CVE_2021_43784_ChangedBytesNeverOverflow) {
  const auto bytes = serialize(full_plan());
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    for (const unsigned value : {0U, 1U, 0x7fU, 0x80U, 0xffU}) {
      auto changed = bytes;
      changed[at] = static_cast<std::byte>(value);
      try {
        const LaunchPlan plan = deserialize_launch_plan(changed);
        EXPECT_FALSE(plan.process.arguments.empty());
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::invalid_argument) << at;
      }
    }
  }
}

TEST(PlanCodec, PlansThatCannotBeExecutedAreRefused) {
  const auto refused = [](const LaunchPlan& plan) { EXPECT_THROW(deserialize_launch_plan(serialize(plan)), Error); };
  LaunchPlan plan = full_plan();
  plan.steps.insert(plan.steps.begin() + 1, AttachSource{3, "/x"});
  refused(plan);
  plan = full_plan();
  plan.steps.erase(plan.steps.begin());
  refused(plan);
  plan = full_plan();
  plan.steps.pop_back();
  refused(plan);
  plan = full_plan();
  plan.process.arguments.clear();
  refused(plan);
  plan = full_plan();
  plan.process.arguments[0] = std::string("a\0b", 3);
  refused(plan);
  plan = full_plan();
  plan.namespaces.push_back({Namespace::user, "", -1});
  refused(plan);
  plan = full_plan();
  plan.maps = {};
  refused(plan);
}

TEST(PlanCodec, OfAnotherKindOrVersion) {
  ExecPlan exec;
  exec.process.arguments = {"sh"};
  EXPECT_THROW(deserialize_launch_plan(serialize(exec)), Error);
  auto bytes = serialize(full_plan());
  EXPECT_THROW(deserialize_exec_plan(bytes), Error);
  bytes[4] = std::byte{99};
  try {
    deserialize_launch_plan(bytes);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.message(), ::testing::HasSubstr("another version"));
  }
}

TEST(PlanText, NamesEveryStep) {
  const std::string text = to_text(full_plan());
  for (const char* line :
       {"  net join /run/netns/x\n", "  ipc join descriptor 2\n", "  uid_map [0 165536 65536]\n",
        "    lower parent /layers idmap=container\n    lower b\n    lower a\n", "  2 clone device /dev/kvm c 10:232\n",
        "  attach source 1 on /dev (no links)\n", "  mask /proc/kcore\n", "  sysctl net/ipv4/ip_forward = 1\n",
        "  time offset monotonic -5 6\n", "  pivot_root rshared\n", "  limit RLIMIT_NOFILE 10 20\n", "warning w\n"})
    EXPECT_THAT(text, ::testing::HasSubstr(line));
}

}  // namespace
}  // namespace bryo::runtime
