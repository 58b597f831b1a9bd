// The monitor's end of the control protocol without a monitor.
#include "monitor/control_server.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <chrono>

#include "kernel/files.hpp"
#include "monitor/test_support.hpp"

namespace bryo::monitor {
namespace {

using namespace testing_support;

class NoRequests final : public ControlHandler {
 public:
  Answer on_request(MessageType, Packet&) override { return {}; }
  void on_answered(MessageType) override {}
  void on_disconnected() override {}
};

std::chrono::microseconds processor_time() {
  struct rusage usage = {};
  ::getrusage(RUSAGE_SELF, &usage);
  return std::chrono::seconds(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         std::chrono::microseconds(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

// No more descriptors than there are.
class FullTable {
 public:
  FullTable() {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const UniqueFd lowest = kernel::open_trusted("/dev/null", O_RDONLY);
    const struct rlimit full = {static_cast<rlim_t>(lowest.get()), before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &full);
  }
  ~FullTable() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  struct rlimit before_ = {};
};

void run_for(EventLoop& loop, std::chrono::milliseconds time) {
  Timer end(loop, [&] { loop.stop(); });
  end.arm(time);
  loop.run();
}

TEST(ControlServer, WaitsForADescriptorWithoutSpinning) {
  ScratchDirectory scratch;
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
  const UniqueFd first(ends[0]);
  EventLoop loop;
  NoRequests handler;
  ControlServer server(loop, UniqueFd(ends[1]), handler);
  server.listen(scratch.path());
  const UniqueFd next(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  scratch.file("control.sock").copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::connect(next.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  {
    const FullTable full;
    const auto before = processor_time();
    run_for(loop, std::chrono::milliseconds(500));
    EXPECT_LT(processor_time() - before, std::chrono::milliseconds(100)) << "of half a second";
  }
  run_for(loop, std::chrono::milliseconds(500));
  char byte = 0;
  EXPECT_EQ(::recv(first.get(), &byte, 1, MSG_DONTWAIT), 0) << "the new connection has taken its place";
}

}  // namespace
}  // namespace bryo::monitor
