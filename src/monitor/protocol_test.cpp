#include "monitor/protocol.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "monitor/exit_file.hpp"
#include "monitor/messages.hpp"
#include "monitor/packet.hpp"
#include "monitor/test_support.hpp"

namespace bryo::monitor {
namespace {

using Phase = ContainerPhase::Phase;

TEST(ContainerPhase, AllowsOnlyTheDrawnOrder) {
  ContainerPhase phase;
  EXPECT_TRUE(phase.allows(MessageType::launch));
  for (const auto type : {MessageType::start, MessageType::attach, MessageType::exec, MessageType::status})
    EXPECT_FALSE(phase.allows(type)) << to_string(type);
  EXPECT_FALSE(phase.started());

  EXPECT_TRUE(phase.created());
  EXPECT_FALSE(phase.allows(MessageType::launch));
  EXPECT_TRUE(phase.allows(MessageType::start));
  EXPECT_TRUE(phase.allows(MessageType::attach));
  EXPECT_FALSE(phase.allows(MessageType::exec));

  EXPECT_TRUE(phase.started());
  EXPECT_FALSE(phase.allows(MessageType::start));
  EXPECT_TRUE(phase.allows(MessageType::exec));

  EXPECT_TRUE(phase.exited());
  EXPECT_FALSE(phase.exited());
  EXPECT_FALSE(phase.allows(MessageType::exec));
  EXPECT_TRUE(phase.allows(MessageType::close));
  EXPECT_TRUE(phase.closed());
  EXPECT_EQ(phase.phase(), Phase::closed);
  EXPECT_FALSE(phase.allows(MessageType::close));
}

TEST(ContainerPhase, NeverServesWhatOnlyTheMonitorSends) {
  ContainerPhase phase;
  phase.created();
  phase.started();
  for (const auto type : {MessageType::reply, MessageType::failure, MessageType::exit_event})
    EXPECT_FALSE(phase.allows(type));
  EXPECT_FALSE(phase.allows(static_cast<MessageType>(77)));
}

TEST(Wire, KeepsEveryMember) {
  LaunchMessage message;
  message.container_id = "c1";
  message.plan = {std::byte{1}, std::byte{0}, std::byte{255}};
  message.cgroup_limits.memory = 123456789;
  message.cgroup_limits.devices.push_back({true, 'c', 1, std::nullopt, "rw"});
  message.cgroup_limits.unified["memory.high"] = "max";
  message.log = {LogDriver::json_file, "/x/y.log", 10, 3, R"({"a":"b"})"};
  message.wait_for_network = true;
  const auto back = from_wire<LaunchMessage>(to_wire(message));
  EXPECT_EQ(to_wire(back), to_wire(message));
  EXPECT_EQ(back.plan, message.plan);
  EXPECT_EQ(back.cgroup_limits.devices.at(0).major, 1u);
  EXPECT_FALSE(back.cgroup_limits.devices.at(0).minor.has_value());
  EXPECT_EQ(back.log.attributes, R"({"a":"b"})");
}

TEST(Wire, RefusesWhatIsCutOrTooLongOrPromisesTooMuch) {
  const std::string whole = to_wire(ExecExitMessage{"exec", 7});
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_THROW(from_wire<ExecExitMessage>(whole.substr(0, size)), Error) << size;
  EXPECT_THROW(from_wire<ExecExitMessage>(whole + "x"), Error);
  const std::string huge("\xff\xff\xff\xff", 4);
  EXPECT_THROW(from_wire<ExecExitMessage>(huge), Error);
  EXPECT_THROW(from_wire<SetPortsMessage>(std::string(1, '\0') + huge), Error);
}

TEST(Packet, CarriesPayloadAndDescriptorsAndSeesTheEnd) {
  int fds[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
  UniqueFd a(fds[0]);
  const UniqueFd b(fds[1]);
  const UniqueFd memory = to_memory("hello");
  const int descriptors[] = {memory.get()};
  ASSERT_EQ(send_packet(a.get(), MessageType::exec, 9, "payload", descriptors), Transfer::done);
  Packet packet;
  ASSERT_EQ(receive_packet(b.get(), packet), Transfer::done);
  EXPECT_EQ(packet.header.type, MessageType::exec);
  EXPECT_EQ(packet.header.request, 9u);
  EXPECT_EQ(packet.payload, "payload");
  ASSERT_EQ(packet.descriptors.size(), 1u);
  EXPECT_EQ(from_memory(packet.descriptors.front().get()), "hello");
  EXPECT_EQ(receive_packet(b.get(), packet), Transfer::would_block);
  a.reset();
  EXPECT_EQ(receive_packet(b.get(), packet), Transfer::closed);
}

TEST(Packet, RefusesOtherProtocolsAndKeepsNoDescriptorOfThem) {
  int fds[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
  const UniqueFd a(fds[0]);
  const UniqueFd b(fds[1]);
  Packet packet;
  ASSERT_EQ(::send(a.get(), "GET / HTTP/1.0\r\n\r\n", 18, 0), 18);
  EXPECT_THROW(receive_packet(b.get(), packet), Error);
  MessageHeader header;
  header.size = 5;  // says more than there is
  ASSERT_GT(::send(a.get(), &header, sizeof header, 0), 0);
  EXPECT_THROW(receive_packet(b.get(), packet), Error);
  EXPECT_THROW(send_packet(a.get(), MessageType::exec, 1, std::string(kMaxPayload + 1, 'x'), {}), Error);
}

TEST(ExitFile, IsReadBackAndGarbageIsNot) {
  const testing_support::ScratchDirectory scratch;
  EXPECT_FALSE(read_exit_file(scratch.path()).has_value());
  const ExitInfo info{137, true, WallTime(std::chrono::nanoseconds(1234567890123456789))};
  write_exit_file(scratch.path(), info);
  const auto back = read_exit_file(scratch.path());
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->code, 137);
  EXPECT_TRUE(back->oom_killed);
  EXPECT_EQ(back->finished_at, info.finished_at);
  for (const char* text : {"", "1 2 3\n", "1 0 0 5", "2 0 0 5\n", "1 0 2 5\n", "1 x 0 5\n", "1 0 0 5 6\n"})
    EXPECT_FALSE(parse_exit(text).has_value()) << text;
}

}  // namespace
}  // namespace bryo::monitor
