// Processes that come into real containers, and containers in namespaces of others. Needs root.
#include <gmock/gmock.h>

#include <algorithm>
#include <array>

#include "kernel/cgroups.hpp"
#include "kernel/namespaces.hpp"
#include "runtime/test_support.hpp"

namespace bryo::runtime::testing {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST_F(LaunchTest, ExecJoinsTheContainer) {
  const oci::RuntimeSpec spec = shell_spec("sleep 100");
  Launched launched(spec, directory(root_));
  launched.start();
  oci::Process process = *spec.process;
  process.args = {"sh", "-c",
                  "hostname; readlink /proc/self/ns/pid; readlink /proc/1/ns/pid; grep -E 'CapEff|NSpid' "
                  "/proc/self/status; exit 3"};
  const Result result = exec(launched, spec, process);
  EXPECT_EQ(result.status, 3);
  EXPECT_THAT(result.output, StartsWith("bryo\n"));
  EXPECT_THAT(result.output, HasSubstr("CapEff:\t00000000a80425fb"));
}

// The launcher's own score may be one that protects it: nobody of the container may run or fork with that.
TEST_F(LaunchTest, ExecHasItsOomScoreFromItsFirstMomentOn) {
  const oci::RuntimeSpec spec = shell_spec("sleep 100");
  Launched launched(spec, directory(root_));
  launched.start();
  oci::Process process = *spec.process;
  process.oom_score_adj = 777;
  process.args = {"cat", "/proc/self/oom_score_adj"};
  for (int i = 0; i < 100; ++i) ASSERT_EQ(exec(launched, spec, process).output, "777\n") << "time " << i;
}

// A systemd inside gives its cgroup's controllers to children, and lives in one of them: then nobody may enter the
// cgroup itself (cgroup-v2.rst, "No Internal Process Constraint").
TEST_F(LaunchTest, ExecGoesWhereInitIsWhenItsCgroupTakesNoProcess) {
  const std::string hierarchy = kernel::CgroupLayout::detect().unified();
  if (hierarchy.empty()) GTEST_SKIP() << "no cgroup v2 hierarchy on this host";
  const std::string before = read_text(hierarchy + "/cgroup.subtree_control");
  const std::string name = fmt::format("/bryo-runtime-test-inner-{}", ::getpid());
  const std::string top = hierarchy + name;
  ASSERT_EQ(::mkdir(top.c_str(), 0755), 0);
  ASSERT_EQ(::mkdir((top + "/init.scope").c_str(), 0755), 0);
  std::string controllers = read_text(hierarchy + "/cgroup.controllers");
  const std::string controller = controllers.substr(0, controllers.find_first_of(" \n"));
  write_text(hierarchy + "/cgroup.subtree_control", "+" + controller);
  if (read_text(top + "/cgroup.controllers").empty()) {
    ::rmdir((top + "/init.scope").c_str());
    ::rmdir(top.c_str());
    GTEST_SKIP() << "its own processes keep this cgroup from giving controllers to children (tests/vm has the case)";
  }
  const UniqueFd group(::open(top.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const oci::RuntimeSpec spec = shell_spec("sleep 100");
  const LaunchPlan plan = make_plan(spec, facts(), directory(root_));
  LaunchInputs inputs;
  inputs.cgroup.directory = group.get();
  Container container = Container::begin(plan, inputs);
  container.wait_created();
  container.start();
  write_text(top + "/init.scope/cgroup.procs", std::to_string(container.pid()));
  write_text(top + "/cgroup.subtree_control", "+" + controller);
  EXPECT_EQ(read_text(top + "/cgroup.subtree_control"), controller + "\n") << "the case that is meant";
  oci::Process process = *spec.process;
  process.args = {"sleep", "100"};
  ExecInputs exec_inputs;
  exec_inputs.cgroup.directory = group.get();
  try {
    ExecProcess more = ExecProcess::start(make_exec_plan(process, spec, facts()), container.pidfd(), exec_inputs);
    EXPECT_THAT(read_text(fmt::format("/proc/{}/cgroup", more.pid())), HasSubstr("0::" + name + "/init.scope\n"));
    ::kill(container.pid(), SIGKILL);
    wait_for(more.pid());
  } catch (const Error& error) {
    ADD_FAILURE() << error.message();
    ::kill(container.pid(), SIGKILL);
  }
  wait_for(container.pid());
  EXPECT_EQ(::rmdir((top + "/init.scope").c_str()), 0);
  EXPECT_EQ(::rmdir(top.c_str()), 0);
  if (before.find(controller) == std::string::npos) write_text(hierarchy + "/cgroup.subtree_control", "-" + controller);
}

TEST_F(LaunchTest, ExecUnderAMap) {
  oci::RuntimeSpec spec = shell_spec("sleep 100");
  map_ids(spec);
  RootfsSource source = directory(root_);
  source.kind = RootfsSource::Kind::idmapped_directory;
  Launched launched(spec, source);
  launched.start();
  oci::Process process = *spec.process;
  process.args = {"id"};
  process.user.uid = process.user.gid = 1000;
  EXPECT_EQ(exec(launched, spec, process).output, "uid=1000(user) gid=1000 groups=1000\n");
  // Privileged: everything inside the map, nothing outside.
  std::vector<std::string> all;
  for (unsigned i = 0; i <= facts().last_capability; ++i) all.push_back(kernel::capability_name(i));
  process.user = {};
  process.capabilities = oci::LinuxCapabilities{all, all, {}, all, {}};
  process.args = {"grep", "CapEff", "/proc/self/status"};
  EXPECT_EQ(exec(launched, spec, process).output, "CapEff:\t000001ffffffffff\n");
}

TEST_F(LaunchTest, ExecOfWhatIsNotThereAndInAStoppedContainer) {
  const oci::RuntimeSpec spec = shell_spec("sleep 100");
  Launched launched(spec, directory(root_));
  launched.start();
  oci::Process process = *spec.process;
  process.args = {"nope"};
  try {
    exec(launched, spec, process);
    FAIL() << "must not succeed";
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "exec: \"nope\": executable file not found in $PATH");
    EXPECT_EQ(error.exit_code(), 127);
  }
  ::kill(launched.container().pid(), SIGKILL);
  launched.finish();
  process.args = {"true"};
  EXPECT_THROW(exec(launched, spec, process), Error);
}

TEST_F(LaunchTest, ExecWithATerminal) {
  const oci::RuntimeSpec spec = shell_spec("sleep 100");
  Launched launched(spec, directory(root_));
  launched.start();
  oci::Process process = *spec.process;
  process.terminal = true;
  process.args = {"sh", "-c", "tty; test -t 1 && echo yes"};
  ExecProcess started = ExecProcess::start(make_exec_plan(process, spec, facts()), launched.container().pidfd(), {});
  const UniqueFd master = started.take_pty_master();
  ASSERT_TRUE(master);
  std::string text;
  char block[1024];
  ssize_t size = 0;
  while ((size = ::read(master.get(), block, sizeof block)) > 0) text.append(block, static_cast<std::size_t>(size));
  EXPECT_EQ(wait_for(started.pid()), 0);
  EXPECT_EQ(text, "/dev/pts/0\r\nyes\r\n");
}

TEST_F(LaunchTest, JoinsNamespacesOfAnotherContainer) {
  const oci::RuntimeSpec first_spec = shell_spec("sleep 100");
  Launched first(first_spec, directory(root_));
  first.start();
  const std::string base = fmt::format("/proc/{}/ns/", first.container().pid());
  oci::RuntimeSpec spec = shell_spec("readlink /proc/self/ns/net; ps");
  for (auto& entry : spec.linux_->namespaces) {
    if (entry.type == "network") entry.path = base + "net";
    if (entry.type == "ipc") entry.path = base + "ipc";
    if (entry.type == "pid") entry.path = base + "pid";
  }
  char net[64] = {};
  ASSERT_GT(::readlink((base + "net").c_str(), net, sizeof net - 1), 0);
  const Result result = run(spec, directory(root_));
  EXPECT_THAT(result.output, StartsWith(std::string(net) + "\n"));
  EXPECT_THAT(result.output, HasSubstr("sleep 100"));
}

TEST_F(LaunchTest, JoinsTheUserNamespaceOfAnotherContainer) {
  oci::RuntimeSpec first_spec = shell_spec("sleep 100");
  map_ids(first_spec);
  RootfsSource source = directory(root_);
  source.kind = RootfsSource::Kind::idmapped_directory;
  Launched first(first_spec, source);
  first.start();
  const std::string base = fmt::format("/proc/{}/ns/", first.container().pid());
  oci::RuntimeSpec spec = shell_spec("readlink /proc/self/ns/user; echo $$; touch /f && mount | grep -c sysfs");
  map_ids(spec);
  for (auto& entry : spec.linux_->namespaces)
    if (entry.type == "network" || entry.type == "user") entry.path = base + (entry.type == "user" ? "user" : "net");
  char user[64] = {};
  ASSERT_GT(::readlink((base + "user").c_str(), user, sizeof user - 1), 0);
  const Result result = run(spec, source);
  EXPECT_EQ(result.output, std::string(user) + "\n1\n1\n");
}

// config.json may name the host's own namespace by a path: a sysctl would be the host's (runc refuses it, too).
TEST_F(LaunchTest, SysctlsAreNotSetInANamespaceOfTheLauncher) {
  for (const auto& [type, name, key] :
       {std::array{"network", "net", "net.ipv4.ip_default_ttl"}, std::array{"ipc", "ipc", "kernel.msgmax"},
        std::array{"uts", "uts", "kernel.domainname"}}) {
    oci::RuntimeSpec spec = shell_spec("true");
    spec.hostname.clear();
    for (auto& entry : spec.linux_->namespaces)
      if (entry.type == type) entry.path = fmt::format("/proc/self/ns/{}", name);
    std::string file = "/proc/sys/" + std::string(key);
    std::replace(file.begin() + 10, file.end(), '.', '/');
    std::string now = read_text(file);
    now.pop_back();
    spec.linux_->sysctl = {{key, now}};
    try {
      run(spec, directory(root_));
      ADD_FAILURE() << key << " was written on the host";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::invalid_argument) << error.message();
      EXPECT_THAT(error.message(), HasSubstr("linux.sysctl"));
    }
    spec.linux_->sysctl.clear();
    EXPECT_EQ(run(spec, directory(root_)).status, 0) << "the namespace itself may be joined: " << type;
  }
}

TEST_F(LaunchTest, HostNamespacesWithoutAMap) {
  oci::RuntimeSpec spec = shell_spec("for n in net pid ipc uts; do readlink /proc/self/ns/$n; done");
  std::erase_if(spec.linux_->namespaces, [](const auto& entry) { return entry.type != "mount"; });
  spec.hostname.clear();
  std::string expected;
  for (const char* name : {"net", "pid", "ipc", "uts"}) {
    char text[64] = {};
    ASSERT_GT(::readlink(fmt::format("/proc/self/ns/{}", name).c_str(), text, sizeof text - 1), 0);
    expected += std::string(text) + "\n";
  }
  EXPECT_EQ(run(spec, directory(root_)).output, expected);
}

TEST_F(LaunchTest, HostNamespacesUnderAMap) {
  oci::RuntimeSpec spec = shell_spec(
      "mount | grep -E ' /(sys|proc) '; cat /sys/kernel/mm/transparent_hugepage/enabled >/dev/null && echo read; echo "
      "x > /sys/power/state");
  map_ids(spec);
  std::erase_if(spec.linux_->namespaces,
                [](const auto& entry) { return entry.type != "mount" && entry.type != "user" && entry.type != "uts"; });
  RootfsSource source = directory(root_);
  source.kind = RootfsSource::Kind::idmapped_directory;
  const Result result = run(spec, source);
  EXPECT_THAT(result.output, HasSubstr("sysfs on /sys type sysfs (ro,"));
  EXPECT_THAT(result.output, HasSubstr("proc on /proc type proc"));
  EXPECT_THAT(result.output, AnyOf(HasSubstr("Read-only file system"), HasSubstr("can't create")));
}

}  // namespace
}  // namespace bryo::runtime::testing
