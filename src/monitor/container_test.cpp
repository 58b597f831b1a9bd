// bryo-monitor with real containers: busybox in its own namespaces and cgroups. Needs root.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <filesystem>
#include <thread>

#include "kernel/cgroups.hpp"
#include "monitor/hub.hpp"
#include "monitor/log_reader.hpp"
#include "monitor/test_support.hpp"
#include "runtime/default_spec.hpp"
#include "runtime/make_plan.hpp"

namespace bryo::monitor {
namespace {

using namespace testing_support;
using testing::HasSubstr;

void make_root(const std::string& root) {
  for (const char* name : {"bin", "etc", "proc", "sys", "dev", "tmp"})
    std::filesystem::create_directories(root + "/" + name);
  std::filesystem::copy_file("/usr/bin/busybox", root + "/bin/busybox");
  for (const char* name : {"sh", "cat", "echo", "sleep", "id", "stty", "head", "kill", "ps", "wc", "ls", "true"})
    std::filesystem::create_symlink("busybox", root + "/bin/" + name);
  std::filesystem::permissions(root + "/tmp", std::filesystem::perms(01777));
}

class ContainerTest : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    if (!std::filesystem::exists("/usr/bin/busybox")) GTEST_SKIP() << "needs busybox-static";
    make_root(root());
    hub_ = std::make_unique<MonitorHub>(MonitorProgram(beside_this_program("bryo-monitor")), listener_);
  }
  void TearDown() override {
    hub_.reset();
    const auto layout = kernel::CgroupLayout::detect();
    if (layout.version() == kernel::CgroupVersion::none) return;
    const auto parent = kernel::ContainerCgroup::open(layout, parent_);
    for (int i = 0; i < 2000 && !parent.remove(); ++i) {
      parent.kill_all();
      ::usleep(1000);
    }
    EXPECT_FALSE(parent.exists());
  }
  std::string root() const { return scratch_.file("root"); }
  std::string cgroup(const std::string& id = "c1") const { return parent_ + "/" + id; }

  oci::RuntimeSpec spec(const std::vector<std::string>& arguments) const {
    auto spec = runtime::default_spec();
    spec.process->args = arguments;
    spec.root->path = root();
    spec.root->readonly = false;
    return spec;
  }
  StartRequest request(const oci::RuntimeSpec& spec, const std::string& id = "c1") {
    StartRequest request;
    request.container_id = id;
    request.runtime_directory = scratch_.file("run-" + id);
    ::mkdir(request.runtime_directory.c_str(), 0700);
    runtime::RootfsSource rootfs;
    rootfs.path = root();
    request.plan = runtime::serialize(runtime::make_plan(spec, facts_, rootfs));
    request.cgroup_path = cgroup(id);
    for (const auto& rule : spec.linux_->resources->devices) request.cgroup_limits.devices.push_back(to_rule(rule));
    request.terminal = spec.process->terminal;
    request.log = {LogDriver::json_file, scratch_.file(id + ".log"), -1, 1, ""};
    return request;
  }
  StartRequest shell(const std::string& script, const std::string& id = "c1") {
    return request(spec({"sh", "-c", script}), id);
  }
  static kernel::CgroupDeviceRule to_rule(const oci::LinuxDeviceCgroup& rule) {
    kernel::CgroupDeviceRule out{rule.allow, rule.type.empty() ? 'a' : rule.type[0], {}, {}, rule.access};
    if (out.access.empty()) out.access = "rwm";
    if (rule.major && *rule.major >= 0) out.major = static_cast<std::uint32_t>(*rule.major);
    if (rule.minor && *rule.minor >= 0) out.minor = static_cast<std::uint32_t>(*rule.minor);
    return out;
  }
  ExecRequest exec(const std::string& id, const std::vector<std::string>& arguments, bool terminal = false) const {
    auto process = *spec(arguments).process;
    process.terminal = terminal;
    ExecRequest request;
    request.exec_id = id;
    request.plan = runtime::serialize(runtime::make_exec_plan(process, spec(arguments), facts_));
    request.terminal = terminal;
    request.attach = {true, true, !terminal};
    return request;
  }
  Streams log(const std::string& id = "c1") const {
    LogReader reader(scratch_.file(id + ".log"), {});
    std::string all, frames;
    while (reader.next(frames)) all += frames;
    return unframe(all);
  }
  kernel::ContainerCgroup open_cgroup(const std::string& id = "c1") const {
    return kernel::ContainerCgroup::open(kernel::CgroupLayout::detect(), cgroup(id));
  }
  void wait_gone(const std::string& id = "c1") const {
    const auto group = open_cgroup(id);
    for (int i = 0; i < 5000 && group.exists(); ++i) ::usleep(1000);
    EXPECT_FALSE(group.exists());
  }

  ScratchDirectory scratch_;
  std::string parent_ = "/bryo-monitor-test-" + std::to_string(::getpid());
  runtime::HostFacts facts_ = runtime::gather_host_facts();
  RecordingListener listener_;
  std::unique_ptr<MonitorHub> hub_;
  static constexpr AttachRequest kAll{true, true, true};
};

TEST_F(ContainerTest, RunsReportsAndLeavesNoCgroup) {
  const auto monitor = hub_->spawn(shell("echo pid $$; id -u; echo e >&2; exit 3"));
  EXPECT_TRUE(monitor->network_namespace());
  const UniqueFd stream = monitor->attach(kAll);
  const Started started = monitor->start();
  EXPECT_GT(started.pid, 1);
  const auto streams = unframe(read_all(stream.get()));
  EXPECT_EQ(streams.out, "pid 1\n0\n");
  EXPECT_EQ(streams.err, "e\n");
  EXPECT_EQ(listener_.wait_exit("c1")->code, 3);
  monitor->close();
  EXPECT_EQ(log().out, "pid 1\n0\n");
  wait_gone();
}

TEST_F(ContainerTest, ProcessIsInItsCgroupWithItsLimits) {
  auto start = shell("sleep 1000");
  start.cgroup_limits.memory = 64 << 20;
  start.cgroup_limits.pids_max = 33;
  const auto monitor = hub_->spawn(std::move(start));
  const Started started = monitor->start();
  const auto group = open_cgroup();
  EXPECT_THAT(group.pids(), testing::Contains(started.pid));
  EXPECT_EQ(group.stats().memory_limit, 64u << 20);
  EXPECT_EQ(group.stats().pids_limit, 33u);
  monitor->signal(SIGKILL);
  EXPECT_EQ(listener_.wait_exit("c1")->code, 137);
  EXPECT_FALSE(listener_.wait_exit("c1")->oom_killed);
  monitor->close();
  wait_gone();
}

TEST_F(ContainerTest, OutOfMemoryIsSaid) {
  // Grows by doubling a shell variable.
  auto start = shell("x=aaaaaaaaaaaaaaaa; while true; do x=$x$x; done");
  start.cgroup_limits.memory = 32 << 20;
  if (kernel::CgroupLayout::detect().limits_swap()) start.cgroup_limits.memory_swap = 32 << 20;
  const auto monitor = hub_->spawn(std::move(start));
  monitor->start();
  const auto exit = listener_.wait_exit("c1");
  ASSERT_TRUE(exit.has_value());
  EXPECT_EQ(exit->code, 137);
  EXPECT_TRUE(exit->oom_killed);
}

TEST_F(ContainerTest, MissingCommandIs127AndADirectoryIs126) {
  for (const auto& [command, code] : {std::pair{"/no/such", 127}, std::pair{"/tmp", 126}}) {
    const auto monitor = hub_->spawn(request(spec({command})));
    try {
      monitor->start();
      ADD_FAILURE() << command << " started";
    } catch (const Error& error) {
      EXPECT_EQ(error.exit_code(), code) << error.what();
    }
    monitor->close();
    wait_gone();
  }
  EXPECT_EQ(listener_.exits("c1"), 0u);
  EXPECT_EQ(listener_.losses(), 0u);
}

TEST_F(ContainerTest, MissingControllerIsNamedByStart) {
  auto start = shell("true");
  start.cgroup_limits.hugepages = {{"3MB", 1}};
  const auto monitor = hub_->spawn(std::move(start));
  try {
    monitor->start();
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("hugetlb"));
  }
}

TEST_F(ContainerTest, ExecRunsInsideAndItsCodeIsReported) {
  const auto monitor = hub_->spawn(shell("sleep 1000"));
  monitor->start();
  ExecStarted started = monitor->exec(exec("e1", {"sh", "-c", "cat; ps | wc -l; exit 5"}));
  write_all(started.stream.get(), "input\n");
  ::shutdown(started.stream.get(), SHUT_WR);
  const auto out = unframe(read_all(started.stream.get())).out;
  EXPECT_THAT(out, HasSubstr("input\n"));
  EXPECT_EQ(listener_.wait_exec_exit("c1", "e1"), 5);
  EXPECT_THAT(open_cgroup().pids(), testing::Not(testing::Contains(started.pid)));
  try {
    monitor->exec(exec("e2", {"/no/such"}));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), 127) << error.what();
  }
  monitor->signal(SIGKILL);
  EXPECT_EQ(listener_.wait_exit("c1")->code, 137);
}

TEST_F(ContainerTest, ExecsDieWithInit) {
  const auto monitor = hub_->spawn(shell("sleep 1000"));
  monitor->start();
  const ExecStarted started = monitor->exec(exec("e1", {"sleep", "1000"}));
  monitor->signal(SIGKILL);
  EXPECT_EQ(listener_.wait_exit("c1")->code, 137);
  EXPECT_EQ(listener_.wait_exec_exit("c1", "e1"), 137);
  EXPECT_EQ(read_all(started.stream.get()), "");
}

TEST_F(ContainerTest, TerminalsOfInitAndExecResize) {
  auto made = spec({"sh", "-c", "stty size; read x; stty size"});
  made.process->terminal = true;
  auto start = request(made);
  start.open_stdin = true;
  start.console_size = {33, 99};
  const auto monitor = hub_->spawn(std::move(start));
  const UniqueFd stream = monitor->attach({true, true, false});
  monitor->start();
  EXPECT_EQ(read_all(stream.get(), 7), "33 99\r\n");
  auto tty = exec("t", {"sh", "-c", "read y; stty size"}, true);
  tty.console_size = {10, 20};
  const ExecStarted started = monitor->exec(std::move(tty));
  monitor->resize("t", {11, 22});
  write_all(started.stream.get(), "go\n");
  EXPECT_THAT(read_all(started.stream.get()), HasSubstr("11 22\r\n"));
  monitor->resize("", {50, 120});
  write_all(stream.get(), "go\n");
  EXPECT_THAT(read_all(stream.get()), HasSubstr("50 120\r\n"));
  EXPECT_EQ(listener_.wait_exit("c1")->code, 0);
}

TEST_F(ContainerTest, OrdinaryUserMayOpenItsOwnStdout) {
  auto made = spec({"sh", "-c", "echo hello > /dev/stdout; id -u"});
  made.process->user.uid = 1000;
  made.process->user.gid = 1000;
  const auto monitor = hub_->spawn(request(made));
  monitor->start();
  EXPECT_EQ(listener_.wait_exit("c1")->code, 0);
  EXPECT_EQ(log().out, "hello\n1000\n");
}

TEST_F(ContainerTest, ChildrenOfInitDieWithItAndTheCgroupGoes) {
  const auto monitor = hub_->spawn(shell("sleep 1000 & sleep 1000 & exit 0"));
  monitor->start();
  EXPECT_EQ(listener_.wait_exit("c1")->code, 0);
  monitor->close();
  wait_gone();
}

TEST_F(ContainerTest, WithTheHostsPidNamespaceLeftoversAreKilled) {
  auto made = spec({"sh", "-c", "sleep 1000 & echo $!; exit 8"});
  std::erase_if(made.linux_->namespaces, [](const auto& ns) { return ns.type == "pid"; });
  const auto monitor = hub_->spawn(request(made));
  const auto before = std::chrono::steady_clock::now();
  monitor->start();
  EXPECT_EQ(listener_.wait_exit("c1")->code, 8);
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(2));
  monitor->close();
  wait_gone();
  const pid_t left = std::stoi(log().out);
  for (int i = 0; i < 1000 && ::kill(left, 0) == 0; ++i) ::usleep(1000);
  EXPECT_EQ(::kill(left, 0), -1);
}

TEST_F(ContainerTest, BryodThatDiesBeforeStartLeavesNoCgroup) {
  auto monitor = hub_->spawn(shell("sleep 1000"));
  EXPECT_TRUE(monitor->network_namespace());
  EXPECT_TRUE(open_cgroup().exists());
  hub_.reset();
  monitor.reset();
  wait_gone();
}

TEST_F(ContainerTest, SameContainerStartsAgainAndAgain) {
  for (std::size_t i = 1; i <= 20; ++i) {
    const auto monitor = hub_->spawn(shell("exit 4"));
    monitor->start();
    ASSERT_TRUE(listener_.wait_exits("c1", i));
    monitor->close();
  }
  hub_->spawn(shell("exit 4"))->close();  // given up while it is being made
  const auto last = hub_->spawn(shell("exit 4"));
  last->network_namespace();  // now it is made
  last->close();
  wait_gone();
  EXPECT_EQ(listener_.exits("c1"), 20u);
}

}  // namespace
}  // namespace bryo::monitor
