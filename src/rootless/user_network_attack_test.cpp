// security.md, row 131 (CVE-2019-6778, CVE-2019-14378, CVE-2020-1983, CVE-2020-7039): somebody in the namespace throws
// frames at the stack that break others. Fragments, ident, lengths that lie, neighbour discovery with empty options.
// BRYO_FUZZ_SECONDS says for how long (2), BRYO_FUZZ_SEED where to begin (1).
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>

#include <random>

#include "rootless/lab_test.hpp"
#include "rootless/usernet/frames_test.hpp"

namespace bryo::rootless {
namespace {

using namespace usernet::frames;
using lab::Lab;

constexpr const char* kGuest = "10.0.2.100";
constexpr const char* kGuest6 = "fd62:7279:6f00::100";

class Attacker {
 public:
  explicit Attacker(unsigned seed) : random_(seed) {}

  Bytes frame() {
    Bytes out = seed();
    const unsigned changes = below(4);
    for (unsigned i = 0; i < changes; ++i) {
      switch (below(4)) {
        case 0:
          if (!out.empty()) out[below(out.size())] = static_cast<std::uint8_t>(random_());
          break;
        case 1:  // where the headers are
          out[12 + below(std::min<std::size_t>(out.size() - 12, 60))] = static_cast<std::uint8_t>(random_());
          break;
        case 2:
          out.resize(14 + below(out.size() - 13));
          break;
        default:
          out.resize(out.size() + below(3000), static_cast<std::uint8_t>(random_()));
      }
    }
    return out;
  }

 private:
  std::size_t below(std::size_t limit) { return limit == 0 ? 0 : random_() % limit; }
  Bytes noise(std::size_t size) {
    Bytes out(size);
    for (auto& byte : out) byte = static_cast<std::uint8_t>(random_());
    return out;
  }
  std::string target() {
    constexpr const char* kTargets[] = {"10.0.2.2",   "10.0.2.3",  "198.51.100.2", "198.51.100.2",
                                        "10.0.2.100", "224.0.0.1", "10.0.2.255"};
    return kTargets[below(std::size(kTargets))];
  }
  std::string target6() {
    constexpr const char* kTargets[] = {"fd62:7279:6f00::2", "fd62:7279:6f00::3", "2001:db8:100::2", "ff02::1",
                                        "ff02::2",           "ff02::1:2",         "fe80::2"};
    return kTargets[below(std::size(kTargets))];
  }
  Bytes with_checksum(Bytes frame) {
    const std::size_t transport = 14 + (frame[12] == 0x86 ? 40 : 20);
    const std::uint8_t protocol = frame[12] == 0x86 ? frame[20] : frame[23];
    const std::size_t field = transport + (protocol == kTcp ? 16 : protocol == kUdp ? 6 : 2);
    if (field + 2 > frame.size()) return frame;
    const unsigned sum = transport_checksum(frame);
    frame[field] = static_cast<std::uint8_t>(sum >> 8);
    frame[field + 1] = static_cast<std::uint8_t>(sum);
    return frame;
  }
  Bytes seed() {
    constexpr unsigned kPorts[] = {53, 67, 69, 80, 113, 21, 6667, 8080, 7070, 547};
    const unsigned port = kPorts[below(std::size(kPorts))];
    switch (below(10)) {
      case 0:  // connections, with data at once, with the answers that nobody waits for
        return with_checksum(packet(
            kGuest, target(), kTcp,
            tcp(40000 + static_cast<unsigned>(below(50)), port, static_cast<std::uint8_t>(below(64)),
                static_cast<std::uint32_t>(random_()), static_cast<std::uint32_t>(random_()), noise(below(1400)))));
      case 1:  // the ident request of CVE-2019-6778
        return with_checksum(packet(kGuest, target(), kTcp,
                                    tcp(40000 + static_cast<unsigned>(below(5)), 113, kAck,
                                        static_cast<std::uint32_t>(below(3000)), 1, noise(1 + below(1400)))));
      case 2:  // CVE-2019-14378, CVE-2020-1983: first fragments, large ones, overlapping ones
        return packet(kGuest, target(), below(2) != 0 ? kUdp : kIcmp, noise(below(1400)),
                      static_cast<unsigned>(below(0x10000)) & 0x3fff);
      case 3:
        return with_checksum(
            packet(kGuest, target(), kUdp, udp(40000 + static_cast<unsigned>(below(50)), port, noise(below(1400)))));
      case 4:
        return with_checksum(
            packet(kGuest, target(), kIcmp, join({static_cast<std::uint8_t>(below(20)), 0, 0, 0}, noise(below(600)))));
      case 5:  // neighbour discovery: options of any length, also 0
        return with_checksum(packet(below(2) != 0 ? kGuest6 : "fe80::1", target6(), kIcmp6,
                                    join({static_cast<std::uint8_t>(128 + below(12)), 0, 0, 0}, noise(below(60)))));
      case 6:
        return with_checksum(packet(kGuest6, target6(), kUdp, udp(546, port, noise(below(1400)))));
      case 7:
        return with_checksum(packet(kGuest6, target6(), kTcp,
                                    tcp(40000, port, static_cast<std::uint8_t>(below(64)),
                                        static_cast<std::uint32_t>(random_()), 0, noise(below(1400)))));
      case 8: {
        Bytes arp = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1};
        return join(arp, noise(below(40)));
      }
      default:
        return noise(14 + below(2000));
    }
  }

  std::mt19937 random_;
};

void flood(const Lab& lab, unsigned seed, std::chrono::milliseconds duration, unsigned& sent) {
  lab.in([&] {
    const UniqueFd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL)));
    sockaddr_ll to{};
    to.sll_family = AF_PACKET;
    to.sll_ifindex = static_cast<int>(::if_nametoindex("tap0"));
    ASSERT_TRUE(fd && to.sll_ifindex != 0);
    Attacker attacker(seed);
    const auto end = std::chrono::steady_clock::now() + duration;
    while (std::chrono::steady_clock::now() < end) {
      const Bytes frame = attacker.frame();
      if (::sendto(fd.get(), frame.data(), frame.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof to) > 0) ++sent;
    }
  });
}

unsigned number_from(const char* variable, unsigned otherwise) {
  const char* given = std::getenv(variable);
  return given != nullptr ? static_cast<unsigned>(std::atoi(given)) : otherwise;
}

TEST(UserNetworkAttack, CVE_2019_6778_CVE_2019_14378_CVE_2020_1983_MalformedFrames) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root: network namespaces";
  const std::chrono::seconds duration(number_from("BRYO_FUZZ_SECONDS", 2));
  const unsigned seed = number_from("BRYO_FUZZ_SEED", 1);
  lab::in_process(true, [&](Lab& lab) {
    auto network = lab.start();
    unsigned sent = 0;
    flood(lab, seed, duration, sent);
    EXPECT_GT(sent, 1000U);
    EXPECT_FALSE(lab::readable(network.process(), 0)) << "the supervisor was ended";
    // Alive, or ended alone and started anew.
    std::string answer;
    for (int i = 0; i < 50 && answer.find("hello") == std::string::npos; ++i)
      answer = lab.udp(lab::kOther, Lab::kPort, "hello", 200);
    EXPECT_EQ(answer, std::string(lab::kHost) + "|hello");
    EXPECT_EQ(lab.tcp(lab::kOther, Lab::kPort), std::string(lab::kHost) + "|hello");
    const std::string log = lab::read_file(lab.options.state_directory + "/usernet.log");
    std::size_t deaths = 0;
    for (std::size_t at = 0; (at = log.find("was ended by signal", at)) != std::string::npos; ++at) ++deaths;
    std::printf("%u frames\n", sent);
    EXPECT_EQ(deaths, 0U) << log;
    EXPECT_LE(log.size(), 1U << 20);
    network.stop();
  });
}

}  // namespace
}  // namespace bryo::rootless
