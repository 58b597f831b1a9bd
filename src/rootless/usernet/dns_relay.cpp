#include "rootless/usernet/dns_relay.hpp"

#include <fcntl.h>
#include <sys/epoll.h>

#include <algorithm>
#include <array>

#include "base/error.hpp"
#include "kernel/files.hpp"
#include "kernel/sockets.hpp"
#include "rootless/usernet/packet.hpp"
#include "rootless/usernet/reply.hpp"

namespace bryo::rootless::usernet {
namespace {

constexpr std::uint16_t kDnsPort = 53;
constexpr std::size_t kDnsHeader = 12;
constexpr std::size_t kLargestAnswer = 65535 - kIp6Header - kUdpHeader;
constexpr std::size_t kLargestFile = 65536;

std::vector<NameServer> current_servers() {
  try {
    return name_servers(kernel::read_file(kernel::open_trusted("/etc/resolv.conf", O_RDONLY).get(), kLargestFile));
  } catch (const Error&) {
    return name_servers({});
  }
}

// Behind the UDP header; empty when its length is not true.
Frame payload_of(const ParsedPacket& packet) {
  const std::size_t size = read16(packet.transport, 4);
  if (size < kUdpHeader || size > packet.transport.size()) return {};
  return packet.transport.subspan(kUdpHeader, size - kUdpHeader);
}

// From the same port with the same id.
bool same_question(Frame a, Frame b) {
  const ParsedPacket first = parse_packet(a), second = parse_packet(b);
  return std::ranges::equal(first.addresses(), second.addresses()) &&
         std::ranges::equal(first.transport.first(4), second.transport.first(4)) &&
         std::ranges::equal(payload_of(first).first(2), payload_of(second).first(2));
}

}  // namespace

DnsRelay::DnsRelay(const UserNetworkAddresses& addresses, PollSet& poll, TapWriter& writer)
    : dns_(addresses.dns.bytes()), dns6_(addresses.dns6.bytes()), poll_(poll), writer_(writer) {}

bool DnsRelay::take(Frame frame, std::int64_t now) {
  const std::uint16_t type = read16(frame, 12);
  if (type != kEtherIp4 && type != kEtherIp6) return false;
  const ParsedPacket packet = parse_packet(frame);
  if (packet.protocol != kProtocolUdp || packet.transport.size() < kUdpHeader) return false;
  const Frame destination = packet.addresses().last(packet.v6 ? 16 : 4);
  const Frame own = packet.v6 ? Frame(dns6_) : Frame(dns_).first(4);
  if (!std::ranges::equal(destination, own) || read16(packet.transport, 2) != kDnsPort) return false;
  if (payload_of(packet).size() < kDnsHeader) return true;
  // Asked again: we do that ourselves.
  for (const Question& question : questions_)
    if (same_question(question.frame, frame)) return true;
  if (questions_.size() == kMostQuestions) {
    close(questions_.front());
    questions_.pop_front();
  }
  Question& question = questions_.emplace_back();
  question.frame.assign(frame.begin(), frame.end());
  question.servers = current_servers();
  const auto preferred = std::ranges::find(question.servers, preferred_);
  if (preferred != question.servers.end()) std::rotate(question.servers.begin(), preferred, preferred + 1);
  if (!ask_next(question, now)) questions_.pop_back();
  return true;
}

void DnsRelay::close(Question& question) {
  if (!question.socket) return;
  poll_.forget(question.socket.get());
  question.socket.reset();
}

bool DnsRelay::ask_next(Question& question, std::int64_t now) {
  close(question);
  const Frame payload = payload_of(parse_packet(question.frame));
  while (!question.servers.empty()) {
    question.asked = question.servers.front();
    question.servers.erase(question.servers.begin());
    try {
      // A port of the kernel's choice for every question: nobody guesses it.
      question.socket = kernel::connect_udp(question.asked.address, kDnsPort, question.asked.zone);
      kernel::send_some(question.socket.get(), payload.data(), payload.size());
      question.deadline = now + kPatience;
      return true;
    } catch (const Error&) {
      question.socket.reset();  // no route, no IPv6: the next one
    }
  }
  return false;
}

void DnsRelay::want() {
  for (const Question& question : questions_) poll_.want(question.socket.get(), EPOLLIN | EPOLLERR | EPOLLHUP);
}

int DnsRelay::patience(std::int64_t now) const {
  std::int64_t least = -1;
  for (const Question& question : questions_) {
    const std::int64_t left = std::max<std::int64_t>(question.deadline - now, 0);
    if (least < 0 || left < least) least = left;
  }
  return static_cast<int>(least);
}

void DnsRelay::serve(std::int64_t now) {
  for (auto at = questions_.begin(); at != questions_.end();) {
    bool done = false;
    bool failed = at->deadline <= now;
    if (poll_.seen(at->socket.get()) != 0) {
      try {
        done = read_answer(*at);
      } catch (const Error&) {
        failed = true;  // refused
      }
    }
    if (done || (failed && !ask_next(*at, now))) {
      close(*at);
      at = questions_.erase(at);
    } else {
      ++at;
    }
  }
}

bool DnsRelay::read_answer(Question& question) {
  std::vector<std::uint8_t> answer(kLargestAnswer);
  const auto size = kernel::receive_some(question.socket.get(), answer.data(), answer.size());
  if (!size || *size < kDnsHeader) return false;
  const Frame asked = payload_of(parse_packet(question.frame));
  constexpr std::uint8_t kResponse = 0x80;
  if (answer[0] != asked[0] || answer[1] != asked[1] || (answer[2] & kResponse) == 0) return false;
  preferred_ = question.asked;
  std::vector<std::uint8_t> reply = reply_to(question.frame, kProtocolUdp, kUdpHeader + *size);
  const std::span<std::uint8_t> udp = std::span(reply).last(kUdpHeader + *size);
  const Frame port = parse_packet(question.frame).transport;
  write16(udp, 0, kDnsPort);
  write16(udp, 2, read16(port, 0));
  write16(udp, 4, static_cast<std::uint16_t>(udp.size()));
  std::copy_n(answer.begin(), *size, udp.begin() + kUdpHeader);
  write_checksum(reply, 6);
  // 0 would mean "no checksum" (RFC 768).
  if (read16(udp, 6) == 0) write16(udp, 6, 0xffff);
  writer_.send(reply);
  return true;
}

}  // namespace bryo::rootless::usernet
