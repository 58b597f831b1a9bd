// The hub and a real monitor process: life and death.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <filesystem>
#include <thread>

#include "kernel/sockets.hpp"
#include "monitor/hub_fixture.hpp"
#include "monitor/protocol.hpp"

namespace bryo::monitor {
namespace {

using namespace testing_support;
using testing::HasSubstr;

TEST_F(HubTest, ReportsExitStatusOnceWithACompleteLog) {
  const auto monitor = hub_->spawn(shell("echo out; echo err >&2; exit 3"));
  const Started started = monitor->start();
  EXPECT_GT(started.pid, 0);
  EXPECT_GT(started.start_time, 0u);
  const auto exit = listener_.wait_exit("c1");
  ASSERT_TRUE(exit.has_value());
  EXPECT_EQ(exit->code, 3);
  EXPECT_FALSE(exit->oom_killed);
  EXPECT_LT(std::chrono::abs(wall_now() - exit->finished_at), std::chrono::minutes(1));
  EXPECT_EQ(log().out, "out\n");
  EXPECT_EQ(log().err, "err\n");
  monitor->close();
  hub_->spawn(shell("exit 0"));  // waits until the first is gone
  EXPECT_EQ(listener_.exits("c1"), 1u);
  EXPECT_EQ(listener_.losses(), 0u);
}

TEST_F(HubTest, ADeathBySignalIs128PlusItsNumber) {
  const auto monitor = hub_->spawn(request({"sleep", "1000"}));
  monitor->start();
  monitor->signal(SIGTERM);
  ASSERT_TRUE(listener_.wait_exit("c1").has_value());
  EXPECT_EQ(listener_.wait_exit("c1")->code, 128 + SIGTERM);
  try {
    monitor->signal(SIGTERM);
    ADD_FAILURE() << "there is nobody to signal";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::not_found) << "too late is no conflict: " << error.message();
  }
}

TEST_F(HubTest, CommandThatCannotRunHasDockersExitCode) {
  const auto monitor = hub_->spawn(request({"/no/such/program"}));
  EXPECT_TRUE(monitor->network_namespace());
  try {
    monitor->start();
    FAIL() << "started";
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), 127);
  }
  monitor->close();
  EXPECT_EQ(listener_.exits("c1"), 0u);
  EXPECT_EQ(listener_.losses(), 0u);
}

TEST_F(HubTest, LaunchErrorsReachTheCaller) {
  auto open_directory = shell("true");
  std::filesystem::permissions(open_directory.runtime_directory, std::filesystem::perms(0755));
  EXPECT_THROW(hub_->spawn(std::move(open_directory))->start(), Error);
  auto no_plan = request({});
  const std::string directory = no_plan.runtime_directory;
  hub_->check_over("c1", directory);
  EXPECT_THROW(hub_->spawn(std::move(no_plan))->network_namespace(), Error);
  auto no_log = shell("true");
  no_log.log.path = scratch_.file("missing/x.log");
  hub_->check_over("c1", directory);
  try {
    hub_->spawn(std::move(no_log))->start();
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("missing"));
  }
}

TEST_F(HubTest, ContainerOutlivesTheHubAndItsLogHasNoGap) {
  auto start = shell("i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; read x; echo after $x; exit 9");
  const std::string directory = start.runtime_directory;
  start.open_stdin = true;
  auto monitor = hub_->spawn(std::move(start));
  const Started started = monitor->start();
  hub_.reset();  // as by kill -9: no word to the monitor
  monitor.reset();
  start_hub();
  monitor = hub_->reconnect("c1", directory);
  ASSERT_NE(monitor, nullptr);
  const MonitorStatus status = monitor->status();
  EXPECT_TRUE(status.started);
  EXPECT_EQ(status.process.pid, started.pid);
  EXPECT_EQ(status.process.start_time, started.start_time);
  EXPECT_FALSE(status.exit.has_value());
  const UniqueFd stream = monitor->attach(kAll);
  write_all(stream.get(), "reconnect\n");
  const auto exit = listener_.wait_exit("c1");
  ASSERT_TRUE(exit.has_value());
  EXPECT_EQ(exit->code, 9);
  std::string wanted;
  for (int i = 0; i < 2000; ++i) wanted += "line " + std::to_string(i) + "\n";
  EXPECT_EQ(log().out, wanted + "after reconnect\n");
  EXPECT_EQ(listener_.losses(), 0u);
}

pid_t monitor_of(const std::string& runtime_directory) {
  return kernel::unix_socket_owner(-1, runtime_directory + "/" + std::string(kControlSocketName));
}

// nullptr would mean that the container is over: an engine that believes that kills what is left of it.
TEST_F(HubTest, AMonitorThatDoesNotAnswerIsNotGone) {
  auto start = request({"sleep", "1000"});
  const std::string directory = start.runtime_directory;
  auto monitor = hub_->spawn(std::move(start));
  monitor->start();
  hub_.reset();
  monitor.reset();
  const pid_t stopped = monitor_of(directory);
  ASSERT_GT(stopped, 0);
  ASSERT_EQ(::kill(stopped, SIGSTOP), 0);
  start_hub();
  try {
    const auto silent = hub_->reconnect("c1", directory, std::chrono::seconds(1));
    ADD_FAILURE() << (silent ? "it has answered" : "it was taken for gone");
  } catch (const Error& error) {
    EXPECT_THAT(error.message(), HasSubstr("does not answer"));
  }
  EXPECT_THROW(hub_->check_over("c1", directory), Error);
  EXPECT_NO_THROW(hub_->check_over("c2", directory + "-of-another"));
  try {
    hub_->spawn(request({"true"}))->start();
    ADD_FAILURE() << "it runs twice";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::conflict) << error.message();
  }
  ASSERT_EQ(::kill(stopped, SIGCONT), 0);
  monitor = hub_->reconnect("c1", directory);
  ASSERT_NE(monitor, nullptr);
  EXPECT_TRUE(monitor->status().started);
  monitor->signal(SIGKILL);
  ASSERT_TRUE(listener_.wait_exit("c1").has_value());
  monitor->close();
}

TEST_F(HubTest, ExitWhileNobodyIsThereIsInTheFile) {
  auto start = shell("read x; exit 11");
  const std::string directory = start.runtime_directory;
  start.open_stdin = start.stdin_once = true;
  auto monitor = hub_->spawn(std::move(start));
  monitor->start();
  const UniqueFd stream = monitor->attach(kAll);
  hub_.reset();
  monitor.reset();
  EXPECT_FALSE(MonitorHub::read_exit(directory).has_value());
  write_all(stream.get(), "x\n");
  EXPECT_EQ(read_all(stream.get()), "");  // end of its output
  start_hub();
  // It leaves on its own; meanwhile it may still answer.
  std::optional<ExitInfo> exit;
  for (int i = 0; i < 1000 && !exit; ++i) exit = MonitorHub::read_exit(directory);
  ASSERT_TRUE(exit.has_value());
  EXPECT_EQ(exit->code, 11);
  if (const auto again = hub_->reconnect("c1", directory)) {
    EXPECT_EQ(listener_.wait_exit("c1")->code, 11);
    again->close();
  }
}

TEST_F(HubTest, KilledEngineLeavesContainerAndLogWhole) {
  auto start = shell("i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; read x; echo end; exit 12");
  start.open_stdin = true;
  const std::string directory = start.runtime_directory;
  int pipe[2];
  ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
  hub_.reset();  // no thread of ours is in the way of fork()
  const pid_t engine = ::fork();
  if (engine == 0) {
    RecordingListener listener;
    MonitorHub hub(MonitorProgram(beside_this_program("plain-monitor")), listener);
    const auto monitor = hub.spawn(std::move(start));
    const UniqueFd stream = monitor->attach(kAll);  // with a client attached that will never read
    monitor->start();
    if (::write(pipe[1], "s", 1) != 1) ::_exit(1);
    ::pause();
  }
  char byte = 0;
  ASSERT_EQ(::read(pipe[0], &byte, 1), 1);
  ::close(pipe[0]);
  ::close(pipe[1]);
  ASSERT_EQ(::kill(engine, SIGKILL), 0);
  ASSERT_EQ(::waitpid(engine, nullptr, 0), engine);
  start_hub();
  const auto monitor = hub_->reconnect("c1", directory);
  ASSERT_NE(monitor, nullptr);
  const UniqueFd stream = monitor->attach(kAll);
  write_all(stream.get(), "x\n");
  ASSERT_TRUE(listener_.wait_exit("c1").has_value());
  EXPECT_EQ(listener_.wait_exit("c1")->code, 12);
  std::string wanted;
  for (int i = 0; i < 3000; ++i) wanted += "line " + std::to_string(i) + "\n";
  EXPECT_TRUE(log().out == wanted + "end\n");
  monitor->close();
}

TEST_F(HubTest, BryodThatDiesBeforeStartLeavesNothing) {
  auto start = request({"sleep", "1000"});
  const std::string directory = start.runtime_directory;
  auto monitor = hub_->spawn(std::move(start));
  monitor->network_namespace();
  const pid_t init = monitor->status().process.pid;
  ASSERT_EQ(::kill(init, 0), 0);
  hub_.reset();
  monitor.reset();
  for (int i = 0; i < 2000 && ::kill(init, 0) == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(::kill(init, 0), -1);
  EXPECT_FALSE(MonitorHub::read_exit(directory).has_value());
}

TEST_F(HubTest, GivingUpBeforeStartKillsInit) {
  const auto monitor = hub_->spawn(request({"sleep", "1000"}));
  monitor->network_namespace();
  const pid_t init = monitor->status().process.pid;
  monitor->close();
  hub_->spawn(shell("exit 0"));  // the first is gone now
  EXPECT_EQ(::kill(init, 0), -1);
  EXPECT_EQ(listener_.exits("c1"), 0u);
}

TEST_F(HubTest, KilledMonitorIsReportedAsLost) {
  const auto monitor = hub_->spawn(shell("echo $PPID; sleep 1000"));
  const UniqueFd stream = monitor->attach(kAll);
  const Started started = monitor->start();
  const std::string parent = unframe(read_all(stream.get(), 8 + 2)).out;
  const std::string rest = read_all(stream.get(), 1);
  const auto stat = read_text("/proc/" + std::to_string(started.pid) + "/stat");
  const pid_t pid = std::stoi(stat.substr(stat.rfind(')') + 4));
  ASSERT_EQ(::kill(pid, SIGKILL), 0);
  EXPECT_TRUE(listener_.wait_lost("c1"));
  EXPECT_EQ(listener_.exits("c1"), 0u);
  EXPECT_THROW(monitor->status(), Error);
  ::kill(started.pid, SIGKILL);
}

TEST_F(HubTest, RequestsOutOfOrderAreRefused) {
  const auto monitor = hub_->spawn(request({"sleep", "1000"}));
  monitor->network_namespace();
  EXPECT_THROW(monitor->exec({"e", plain_plan({"true"}), {}, false, kAll, {}}), Error);
  monitor->start();
  EXPECT_THROW(monitor->start(), Error);
  monitor->signal(SIGKILL);
  listener_.wait_exit("c1");
  EXPECT_THROW(monitor->attach(kAll), Error);
}

TEST_F(HubTest, CVE_2020_15257_ControlSocketIsAPathInAPrivateDirectory) {
  auto start = request({"sleep", "1000"});
  const std::string directory = start.runtime_directory;
  const auto monitor = hub_->spawn(std::move(start));
  monitor->start();
  const std::string sockets = read_text("/proc/net/unix");
  EXPECT_EQ(sockets.find("@bryo"), std::string::npos);
  EXPECT_TRUE(std::filesystem::is_socket(directory + "/control.sock"));
  const auto stat = std::filesystem::status(directory);
  EXPECT_EQ(stat.permissions() & std::filesystem::perms(077), std::filesystem::perms::none);
  monitor->signal(SIGKILL);
  listener_.wait_exit("c1");
}

TEST_F(HubTest, CVE_2020_15257_ForeignUserIsNotServed) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to become another user";
  auto start = request({"sleep", "1000"});
  const std::string directory = start.runtime_directory;
  const auto monitor = hub_->spawn(std::move(start));
  monitor->start();
  // Even with the directory opened by mistake, the peer's identity is checked.
  std::filesystem::permissions(directory, std::filesystem::perms(0755));
  std::filesystem::permissions(scratch_.path(), std::filesystem::perms(0755));
  std::filesystem::permissions(directory + "/control.sock", std::filesystem::perms(0777));
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setuid(65534) != 0) ::_exit(2);
    const int socket = ::socket(AF_UNIX, SOCK_SEQPACKET, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, (directory + "/control.sock").c_str(), sizeof address.sun_path - 1);
    if (::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) ::_exit(3);
    char byte;
    ::_exit(::recv(socket, &byte, 1, 0) == 0 ? 0 : 1);  // hung up on
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_TRUE(monitor->status().started);
  monitor->signal(SIGKILL);
  listener_.wait_exit("c1");
}

TEST_F(HubTest, CVE_2019_5736_ProgramIsASealedMemoryFile) {
  const auto monitor = hub_->spawn(request({"sleep", "1000"}));
  const Started started = monitor->start();
  const auto stat = read_text("/proc/" + std::to_string(started.pid) + "/stat");
  const std::string parent = stat.substr(stat.rfind(')') + 4);
  const std::string exe = "/proc/" + parent.substr(0, parent.find(' ')) + "/exe";
  EXPECT_THAT(std::filesystem::read_symlink(exe).string(), HasSubstr("memfd:bryo-monitor"));
  EXPECT_LT(::open(exe.c_str(), O_WRONLY | O_CLOEXEC), 0);
  const UniqueFd readable(::open(exe.c_str(), O_RDONLY | O_CLOEXEC));
  if (readable) {  // root may open it, and still cannot change it
    EXPECT_LT(::ftruncate(readable.get(), 0), 0);
    const std::string again = "/proc/self/fd/" + std::to_string(readable.get());
    const UniqueFd writable(::open(again.c_str(), O_RDWR | O_CLOEXEC));
    EXPECT_TRUE(!writable || ::write(writable.get(), "x", 1) < 0);
  }
  monitor->signal(SIGKILL);
  listener_.wait_exit("c1");
}

TEST_F(HubTest, AThousandRunsLeakNoDescriptor) {
  constexpr int kThreads = 4;
  constexpr int kEach = 250;
  const auto cycle = [&](int thread, int i) {
    const std::string id = "t" + std::to_string(thread) + "-" + std::to_string(i);
    const auto monitor = hub_->spawn(request({"echo", id}, id));
    const UniqueFd stream = monitor->attach(kAll);
    monitor->start();
    EXPECT_EQ(unframe(read_all(stream.get())).out, id + "\n");
    EXPECT_EQ(listener_.wait_exit(id)->code, 0);
    monitor->close();
  };
  cycle(99, 0);
  hub_->spawn(shell("exit 0", "t99-0"));
  const std::size_t before = open_descriptors();
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) cycle(t, i);
    });
  for (auto& thread : threads) thread.join();
  // The last ones are on their way out: spawning waits for each.
  for (int t = 0; t < kThreads; ++t)
    hub_->spawn(shell("exit 0", "t" + std::to_string(t) + "-" + std::to_string(kEach - 1)));
  hub_.reset();
  start_hub();
  EXPECT_LE(open_descriptors(), before);
}

}  // namespace
}  // namespace bryo::monitor
