// The builtin user-mode network against the kernel, as root and as an ordinary user.
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>

#include <algorithm>
#include <filesystem>

#include "rootless/lab_test.hpp"

namespace bryo::rootless {
namespace {

using lab::kHost, lab::kHost6, lab::kOther, lab::kOther6, lab::kPatience, lab::kShort, lab::Lab;
constexpr std::uint16_t kPort = Lab::kPort;

enum class As { root, user };

class UserNetworkTest : public ::testing::TestWithParam<As> {
 protected:
  void in_lab(const std::function<void(Lab&)>& body) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root: network namespaces";
    lab::in_process(GetParam() == As::user, body);
  }
};

INSTANTIATE_TEST_SUITE_P(As, UserNetworkTest, ::testing::Values(As::root, As::user),
                         [](const auto& test) { return test.param == As::root ? "Root" : "User"; });

int pid_of(int pidfd) {
  const std::string info = lab::read_file("/proc/self/fdinfo/" + std::to_string(pidfd));
  return std::stoi(info.substr(info.find("Pid:") + 4));
}

std::string status_field(int pid, const std::string& name) {
  const std::string text = lab::read_file("/proc/" + std::to_string(pid) + "/status");
  const auto at = text.find("\n" + name + ":");
  if (at == std::string::npos) return {};
  const auto begin = text.find_first_not_of(" \t", at + name.size() + 2);
  return text.substr(begin, text.find('\n', begin) - begin);
}

// The stack's process: the supervisor's only child.
int stack_of(const UserNetwork& network) {
  const std::string parent = std::to_string(pid_of(network.process()));
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") == std::string::npos && status_field(std::stoi(name), "PPid") == parent)
      return std::stoi(name);
  }
  return 0;
}

std::vector<std::string> open_files(int pid) {
  std::vector<std::string> out;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd"))
    out.push_back(std::filesystem::read_symlink(entry).filename());
  std::ranges::sort(out);
  return out;
}

template <typename Condition>
bool eventually(Condition condition) {
  for (int i = 0; i < kPatience / 10; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

TEST_P(UserNetworkTest, TcpAndUdpReachAnotherHostAndComeFromOurs) {
  in_lab([](Lab& lab) {
    auto network = lab.start();
    EXPECT_EQ(lab.tcp(kOther, kPort), std::string(kHost) + "|hello");
    EXPECT_EQ(lab.tcp(kOther6, kPort), std::string(kHost6) + "|hello");
    EXPECT_EQ(lab.udp(kOther, kPort), std::string(kHost) + "|hello");
    EXPECT_EQ(lab.udp(kOther6, kPort), std::string(kHost6) + "|hello");
    EXPECT_EQ(lab.tcp(kOther, 9), "refused");
    network.stop();
  });
}

TEST_P(UserNetworkTest, FactsAreWhatTheInterfaceHas) {
  in_lab([](Lab& lab) {
    auto network = lab.start();
    const UserNetworkFacts& facts = network.facts();
    EXPECT_EQ(facts.dns, "10.0.2.3");
    EXPECT_EQ(facts.host_address, "10.0.2.2");
    lab.in([&] {
      kernel::NetlinkSocket socket(NETLINK_ROUTE);
      const auto link = kernel::find_link(socket, facts.interface);
      ASSERT_TRUE(link);
      EXPECT_EQ(link->mtu, 65520);
      std::vector<std::string> addresses;
      for (const auto& address : kernel::list_addresses(socket))
        if (address.index == link->index && !address.link_local) addresses.push_back(address.address.address().str());
      EXPECT_EQ(addresses, (std::vector<std::string>{facts.address, facts.address6}));
    });
    network.stop();
    EXPECT_FALSE(lab.has_interface());
  });
}

TEST_P(UserNetworkTest, HostLoopbackIsClosedButForOnePort) {
  in_lab([](Lab& lab) {
    const auto open = lab.serve("127.0.0.1", 7001);
    const auto open6 = lab.serve("::1", 7001);
    const auto closed = lab.serve("127.0.0.1", 7002);
    const auto closed6 = lab.serve("::1", 7002);
    lab.options.host_ports = {7001};
    auto network = lab.start();
    const std::string host6 = network.facts().host_address6;
    EXPECT_EQ(lab.tcp("10.0.2.2", 7001), "127.0.0.1|hello");
    EXPECT_EQ(lab.udp("10.0.2.2", 7001), "127.0.0.1|hello");
    EXPECT_EQ(lab.tcp(host6, 7001), "::1|hello");
    EXPECT_EQ(lab.udp(host6, 7001), "::1|hello");
    EXPECT_EQ(lab.tcp("10.0.2.2", 7002), "refused");
    EXPECT_EQ(lab.udp("10.0.2.2", 7002), "refused");
    EXPECT_EQ(lab.tcp(host6, 7002), "refused");
    EXPECT_EQ(lab.udp(host6, 7002), "refused");
    network.stop();
  });
}

TEST_P(UserNetworkTest, HostLoopbackIsClosedByDefaultAndOpenWhenAsked) {
  in_lab([](Lab& lab) {
    const auto server = lab.serve("127.0.0.1", 7001);
    const auto lan = lab.serve(kHost, 7003);
    {
      auto network = lab.start();
      EXPECT_EQ(lab.tcp("10.0.2.2", 7001), "refused");
      EXPECT_EQ(lab.udp("10.0.2.2", 7001), "refused");
      // As any program of the host.
      EXPECT_EQ(lab.tcp(kHost, 7003), std::string(kHost) + "|hello");
      network.stop();
    }
    lab.options.host_loopback = true;
    auto network = lab.start();
    EXPECT_EQ(lab.tcp("10.0.2.2", 7001), "127.0.0.1|hello");
    network.stop();
  });
}

TEST_P(UserNetworkTest, NamesAreAskedWhereTheHostAsksNow) {
  in_lab([](Lab& lab) {
    auto network = lab.start();
    const std::string dns = network.facts().dns;
    EXPECT_EQ(lab.who_answers(dns), "127.0.0.53");
    EXPECT_EQ(lab.who_answers(network.facts().dns6), "127.0.0.53");
    EXPECT_EQ(lab.tcp(dns, 54), "refused");
    // Another server, by a new file that takes the old one's name.
    lab::write_file(lab.directory + "/new", "search example.org\nnameserver 127.0.0.54\n");
    std::filesystem::rename(lab.directory + "/new", lab.options.resolv_conf);
    EXPECT_TRUE(eventually([&] { return lab.who_answers(dns) == "127.0.0.54"; }));
    network.stop();
  });
}

TEST_P(UserNetworkTest, NamesAreAskedOverTcpToo) {
  in_lab([](Lab& lab) {
    lab::write_file(lab.options.resolv_conf, "nameserver " + std::string(kOther) + "\n");
    auto network = lab.start();
    EXPECT_EQ(lab.tcp(network.facts().dns, 53), std::string(kHost) + "|hello");
    network.stop();
  });
}

TEST_P(UserNetworkTest, AServerThatIsSilentOrGoneIsNotTheLast) {
  in_lab([](Lab& lab) {
    // Nobody there; no route; silent; an IPv6 one, that answers.
    lab::write_file(lab.options.resolv_conf,
                    "nameserver 127.0.0.99\nnameserver 127.0.0.53\nnameserver " + std::string(kOther6) + "\n");
    lab.resolver->silent = true;
    auto network = lab.start();
    const std::string dns = network.facts().dns;
    EXPECT_EQ(lab.who_answers(dns), kOther6);
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(lab.who_answers(dns), kOther6);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(1000)) << "it is asked first now";
    network.stop();
  });
}

class UserNetworkTransferTest : public UserNetworkTest {
 protected:
  void transfer(int mtu);
};
INSTANTIATE_TEST_SUITE_P(As, UserNetworkTransferTest, ::testing::Values(As::root, As::user),
                         [](const auto& test) { return test.param == As::root ? "Root" : "User"; });

TEST_P(UserNetworkTransferTest, LargeTransfersArriveWhole) { transfer(65520); }
// Joined and split by the kernel (offload.hpp).
TEST_P(UserNetworkTransferTest, LargeTransfersArriveWholeThroughASmallMtu) { transfer(1500); }

void UserNetworkTransferTest::transfer(int mtu) {
  in_lab([mtu](Lab& lab) {
    lab.options.mtu = mtu;
    UniqueFd listener;
    lab.outside->run([&] { listener = kernel::listen_tcp(kernel::IpAddress::parse(kHost), 7004); });
    auto network = lab.start();
    constexpr std::size_t kSize = 64 << 20;
    std::string sent(kSize, '\0');
    for (std::size_t i = 0; i < kSize; ++i) sent[i] = static_cast<char>((i * 2654435761U) >> 13);
    std::string received, returned;
    std::thread server([&] {
      if (!lab::readable(listener.get())) return;
      auto fd = kernel::accept_tcp(listener.get());
      char buffer[65536];
      while (received.size() < kSize && lab::readable(fd->get())) {
        const ssize_t got = ::recv(fd->get(), buffer, sizeof buffer, 0);
        if (got <= 0) break;
        received.append(buffer, static_cast<std::size_t>(got));
      }
      for (std::size_t done = 0; done < received.size();) {
        pollfd wait{fd->get(), POLLOUT, 0};
        if (::poll(&wait, 1, kPatience) != 1) break;
        const ssize_t put = ::send(fd->get(), received.data() + done, received.size() - done, MSG_NOSIGNAL);
        if (put <= 0) break;
        done += static_cast<std::size_t>(put);
      }
    });
    lab.in([&] {
      const UniqueFd fd = kernel::start_connect_tcp(kernel::IpAddress::parse(kHost), 7004);
      for (std::size_t done = 0; done < kSize;) {
        pollfd wait{fd.get(), POLLOUT, 0};
        if (::poll(&wait, 1, kPatience) != 1) break;
        const ssize_t put = ::send(fd.get(), sent.data() + done, kSize - done, MSG_NOSIGNAL);
        if (put <= 0) break;
        done += static_cast<std::size_t>(put);
      }
      char buffer[65536];
      while (returned.size() < kSize && lab::readable(fd.get())) {
        const ssize_t got = ::recv(fd.get(), buffer, sizeof buffer, 0);
        if (got <= 0) break;
        returned.append(buffer, static_cast<std::size_t>(got));
      }
    });
    server.join();
    EXPECT_TRUE(received == sent) << received.size();
    EXPECT_TRUE(returned == sent) << returned.size();
    network.stop();
  });
}

TEST_P(UserNetworkTest, DatagramsLargerThanTheMtuArrive) {
  in_lab([](Lab& lab) {
    lab.options.mtu = 1500;
    auto network = lab.start();
    const std::string text(8000, 'x');
    EXPECT_EQ(lab.udp(kOther, kPort, text), std::string(kHost) + "|" + text);
    EXPECT_EQ(lab.udp(kOther, kPort, text), std::string(kHost) + "|" + text);
    network.stop();
  });
}

TEST_P(UserNetworkTest, PingGetsThrough) {
  in_lab([](Lab& lab) {
    auto network = lab.start();
    lab.in([] {
      const UniqueFd fd(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP));
      ASSERT_TRUE(fd);
      sockaddr_in to{};
      to.sin_family = AF_INET;
      ::inet_pton(AF_INET, kOther, &to.sin_addr);
      unsigned char echo[16] = {8, 0, 0, 0, 0, 1, 0, 1, 'b', 'r', 'y', 'o'};
      unsigned sum = 0;
      for (int i = 0; i < 16; i += 2) sum += static_cast<unsigned>(echo[i] << 8 | echo[i + 1]);
      sum = (sum & 0xffff) + (sum >> 16);
      echo[2] = static_cast<unsigned char>(~sum >> 8);
      echo[3] = static_cast<unsigned char>(~sum);
      ASSERT_EQ(::sendto(fd.get(), echo, sizeof echo, 0, reinterpret_cast<sockaddr*>(&to), sizeof to), 16);
      ASSERT_TRUE(lab::readable(fd.get()));
      unsigned char answer[128];
      const ssize_t got = ::recv(fd.get(), answer, sizeof answer, 0);
      ASSERT_GE(got, 36);
      EXPECT_EQ(answer[20], 0) << "type: echo reply";
      EXPECT_EQ(answer[28], 'b');
    });
    network.stop();
  });
}

TEST_P(UserNetworkTest, TheStackIsConfined) {
  in_lab([](Lab& lab) {
    auto network = lab.start();
    const int stack = stack_of(network);
    ASSERT_GT(stack, 0);
    EXPECT_EQ(status_field(stack, "CapPrm"), "0000000000000000");
    EXPECT_EQ(status_field(stack, "CapEff"), "0000000000000000");
    EXPECT_EQ(status_field(stack, "CapBnd"), "0000000000000000");
    EXPECT_EQ(status_field(stack, "NoNewPrivs"), "1");
    EXPECT_EQ(status_field(stack, "Seccomp"), "2");
    const std::string root = "/proc/" + std::to_string(stack) + "/root";
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root))
      names.push_back(entry.path().string().substr(root.size()));
    std::ranges::sort(names);
    EXPECT_EQ(names, (std::vector<std::string>{"/etc", "/etc/resolv.conf"}));
    const std::vector<std::string> needed = {"anon_inode:[eventpoll]", "null", "null", "tun", "usernet.log"};
    // The pipe of the first word is closed a moment after that word.
    EXPECT_TRUE(eventually([&] { return open_files(stack) == needed; })) << ::testing::PrintToString(open_files(stack));
    network.stop();
  });
}

TEST_P(UserNetworkTest, AStackThatIsKilledComesBackByItself) {
  in_lab([](Lab& lab) {
    auto network = lab.start();
    const int stack = stack_of(network);
    ASSERT_EQ(::kill(stack, SIGKILL), 0);
    EXPECT_TRUE(eventually([&] { return stack_of(network) != 0 && stack_of(network) != stack; }));
    EXPECT_EQ(lab.tcp(kOther, kPort), std::string(kHost) + "|hello");
    EXPECT_NE(lab::read_file(lab.options.state_directory + "/usernet.log").find("ended by signal 9"),
              std::string::npos);
    network.stop();
  });
}

TEST_P(UserNetworkTest, AfterKillTheOwnerStartsAnew) {
  in_lab([](Lab& lab) {
    auto network = lab.start();
    const int stack = stack_of(network);
    ASSERT_EQ(::kill(pid_of(network.process()), SIGKILL), 0);
    EXPECT_TRUE(lab::readable(network.process()));
    EXPECT_TRUE(
        eventually([&] { return status_field(stack, "State").empty() || status_field(stack, "State")[0] == 'Z'; }));
    EXPECT_FALSE(UserNetwork::adopt(lab.options.state_directory));
    EXPECT_TRUE(eventually([&] { return !lab.has_interface(); }));
    network = lab.start();
    EXPECT_EQ(lab.tcp(kOther, kPort), std::string(kHost) + "|hello");
    network.stop();
  });
}

TEST_P(UserNetworkTest, TheNextEngineAdoptsIt) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer allows no new threads in a process forked from one that has several";
#endif
  in_lab([](Lab& lab) {
    EXPECT_FALSE(UserNetwork::adopt(lab.options.state_directory));
    // The first engine dies; its network goes on.
    const pid_t first = ::fork();
    if (first == 0) {
      kernel::NetnsThread outside;
      const auto network = UserNetwork::start(lab.options, lab.netns.get(), outside);
      ::_exit(network.process() > 0 ? 0 : 1);
    }
    int status = 0;
    ::waitpid(first, &status, 0);
    ASSERT_EQ(status, 0);
    auto found = UserNetwork::adopt(lab.options.state_directory);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->facts().host_address, "10.0.2.2");
    EXPECT_EQ(found->facts().mtu, 65520);
    EXPECT_EQ(lab.tcp(kOther, kPort), std::string(kHost) + "|hello");
    EXPECT_FALSE(lab::readable(found->process(), 0));
    found->stop();
    EXPECT_FALSE(UserNetwork::adopt(lab.options.state_directory));
    EXPECT_FALSE(lab.has_interface());
  });
}

TEST_P(UserNetworkTest, EndsWithItsNamespace) {
  in_lab([](Lab& lab) {
    auto network = lab.start();
    EXPECT_FALSE(lab::readable(network.process(), kShort));
    lab.netns.reset();
    EXPECT_TRUE(lab::readable(network.process()));
  });
}

TEST_P(UserNetworkTest, WhatCannotStartSaysWhyAndLeavesNothing) {
  in_lab([](Lab& lab) {
    lab.options.program = "/bin/false";
    try {
      lab.start();
      ADD_FAILURE() << "started";
    } catch (const Error& error) {
      EXPECT_NE(error.message().find("ended before it was ready"), std::string::npos) << error.message();
    }
    EXPECT_FALSE(lab.has_interface());
    lab.options.program = "/nowhere/bryo-usernet";
    EXPECT_THROW(lab.start(), Error);
    EXPECT_FALSE(lab.has_interface());
    EXPECT_FALSE(UserNetwork::adopt(lab.options.state_directory));
  });
}

}  // namespace
}  // namespace bryo::rootless
