#include "kernel/netlink.hpp"

#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>

#include "base/error.hpp"

namespace bryo::kernel {
namespace {

// Answers to dumps come in pieces of at most 32 KiB (netlink_dump).
constexpr std::size_t kReceiveBuffer = 32768;
constexpr int kSocketBuffer = 4 << 20;
constexpr int kDumpAttempts = 10;

}  // namespace

// --- NetlinkBatch ---

nlmsghdr* NetlinkBatch::header_at(std::size_t offset) { return reinterpret_cast<nlmsghdr*>(buffer_.data() + offset); }

void NetlinkBatch::align() { buffer_.resize(NLMSG_ALIGN(buffer_.size())); }

void NetlinkBatch::finish_message() {
  if (starts_.empty()) return;
  nlmsghdr* last = header_at(starts_.back());
  last->nlmsg_len = static_cast<std::uint32_t>(buffer_.size() - starts_.back());
}

void NetlinkBatch::start(std::uint16_t type, unsigned flags, const void* header, std::size_t size) {
  finish_message();
  align();
  starts_.push_back(buffer_.size());
  nlmsghdr message{};
  message.nlmsg_type = type;
  message.nlmsg_flags = static_cast<std::uint16_t>(flags | NLM_F_REQUEST);
  append(&message, sizeof(message));
  append(header, size);
  finish_message();
}

NetlinkBatch& NetlinkBatch::append(const void* value, std::size_t size) {
  const auto* from = static_cast<const std::byte*>(value);
  buffer_.insert(buffer_.end(), from, from + size);
  align();
  return *this;
}

NetlinkBatch& NetlinkBatch::bytes(unsigned type, std::span<const std::byte> value) {
  nlattr attribute{};
  attribute.nla_type = static_cast<std::uint16_t>(type);
  attribute.nla_len = static_cast<std::uint16_t>(NLA_HDRLEN + value.size());
  append(&attribute, sizeof(attribute));
  append(value.data(), value.size());
  finish_message();
  return *this;
}

NetlinkBatch& NetlinkBatch::be16(unsigned type, std::uint16_t value) { return u16(type, htons(value)); }
NetlinkBatch& NetlinkBatch::be32(unsigned type, std::uint32_t value) { return u32(type, htonl(value)); }

NetlinkBatch& NetlinkBatch::text(unsigned type, std::string_view value) {
  const std::string copy(value);
  return raw(type, copy.c_str(), copy.size() + 1);
}

NetlinkBatch& NetlinkBatch::nest(unsigned type, const std::function<void()>& fill) {
  const std::size_t at = buffer_.size();
  nlattr attribute{};
  attribute.nla_type = static_cast<std::uint16_t>(type | NLA_F_NESTED);
  append(&attribute, sizeof(attribute));
  fill();
  const std::size_t length = buffer_.size() - at;
  if (length > UINT16_MAX) fail(ErrorKind::internal, "netlink attribute of {} bytes is too long", length);
  attribute.nla_len = static_cast<std::uint16_t>(length);
  std::memcpy(buffer_.data() + at, &attribute, sizeof(attribute));
  finish_message();
  return *this;
}

// --- NetlinkAttributes ---

void NetlinkAttributes::each(const std::function<void(unsigned, std::span<const std::byte>)>& visit) const {
  std::span<const std::byte> rest = bytes_;
  while (rest.size() >= sizeof(nlattr)) {
    nlattr attribute;
    std::memcpy(&attribute, rest.data(), sizeof(attribute));
    if (attribute.nla_len < NLA_HDRLEN || attribute.nla_len > rest.size()) return;
    visit(attribute.nla_type & NLA_TYPE_MASK, rest.subspan(NLA_HDRLEN, attribute.nla_len - std::size_t{NLA_HDRLEN}));
    rest = rest.subspan(std::min<std::size_t>(NLA_ALIGN(attribute.nla_len), rest.size()));
  }
}

std::optional<std::span<const std::byte>> NetlinkAttributes::find(unsigned type) const {
  std::optional<std::span<const std::byte>> found;
  each([&](unsigned each_type, std::span<const std::byte> value) {
    if (each_type == type) found = value;
  });
  return found;
}

NetlinkAttributes NetlinkAttributes::nested(unsigned type) const {
  return NetlinkAttributes(find(type).value_or(std::span<const std::byte>()));
}

std::string NetlinkAttributes::text(unsigned type) const {
  const auto value = find(type);
  if (!value) return {};
  std::string out(reinterpret_cast<const char*>(value->data()), value->size());
  return out.substr(0, out.find('\0'));
}

std::optional<std::uint16_t> NetlinkAttributes::be16(unsigned type) const {
  const auto value = number<std::uint16_t>(type);
  return value ? std::optional<std::uint16_t>(ntohs(*value)) : std::nullopt;
}

std::optional<std::uint32_t> NetlinkAttributes::be32(unsigned type) const {
  const auto value = number<std::uint32_t>(type);
  return value ? std::optional<std::uint32_t>(ntohl(*value)) : std::nullopt;
}

// --- NetlinkSocket ---

// What one conversation has brought so far.
struct NetlinkSocket::Outcome {
  std::uint32_t first = 0;  // sequence numbers of ours
  std::uint32_t last = 0;
  int error = 0;  // errno of the first failure
  std::string words;
  std::size_t acknowledged = 0;
  bool done = false;         // end of a dump
  bool interrupted = false;  // NLM_F_DUMP_INTR

  bool ours(const nlmsghdr& header) const { return header.nlmsg_seq - first <= last - first; }

  void take_error(const nlmsghdr& header, std::span<const std::byte> payload) {
    nlmsgerr answer{};
    std::memcpy(&answer, payload.data(), std::min(payload.size(), sizeof(answer)));
    if (answer.error == 0) {
      ++acknowledged;
      return;
    }
    if (error != 0) return;
    error = -answer.error;
    if ((header.nlmsg_flags & NLM_F_ACK_TLVS) == 0 || payload.size() <= sizeof(answer)) return;
    // NETLINK_CAP_ACK is set, so attributes follow the echoed header at once.
    words = NetlinkAttributes(payload.subspan(sizeof(answer))).text(NLMSGERR_ATTR_MSG);
  }

  [[noreturn]] void throw_as(std::string_view what) const {
    throw Error::from_errno(error, words.empty() ? std::string(what) : fmt::format("{} ({})", what, words));
  }
};

NetlinkSocket::NetlinkSocket(int protocol) : fd_(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol)) {
  if (!fd_) fail_errno("socket AF_NETLINK {}", protocol);
  const int on = 1;
  // Helpful, not needed: kernels before 4.12 lack them.
  ::setsockopt(fd_.get(), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
  if (::setsockopt(fd_.get(), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on)) != 0) fail_errno("setsockopt CAP_ACK");
}

void NetlinkSocket::send(NetlinkBatch& batch, std::string_view what) {
  batch.finish_message();
  for (const std::size_t start : batch.starts_) batch.header_at(start)->nlmsg_seq = ++sequence_;
  if (batch.buffer_.size() > 65536) {
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDBUFFORCE, &kSocketBuffer, sizeof(kSocketBuffer));
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kSocketBuffer, sizeof(kSocketBuffer));
  }
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  const ssize_t sent = ::sendto(fd_.get(), batch.buffer_.data(), batch.buffer_.size(), 0,
                                reinterpret_cast<const sockaddr*>(&kernel), sizeof(kernel));
  if (sent < 0) fail_errno("send netlink request ({})", what);
}

bool NetlinkSocket::read_some(int flags, Outcome& outcome, const std::function<void(const NetlinkReply&)>& visit) {
  // Not kept: sockets live long and are many, conversations are short.
  const auto buffer = std::make_unique_for_overwrite<std::byte[]>(kReceiveBuffer);
  const ssize_t size = ::recv(fd_.get(), buffer.get(), kReceiveBuffer, flags | MSG_TRUNC);
  if (size < 0) {
    if (errno == EAGAIN) return false;
    if (errno == EINTR) return true;
    fail_errno("receive from netlink");
  }
  if (static_cast<std::size_t>(size) > kReceiveBuffer)
    fail(ErrorKind::internal, "netlink message of {} bytes does not fit", size);
  std::span<const std::byte> rest(buffer.get(), static_cast<std::size_t>(size));
  while (rest.size() >= sizeof(nlmsghdr)) {
    nlmsghdr header;
    std::memcpy(&header, rest.data(), sizeof(header));
    if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > rest.size()) break;
    const auto payload = rest.subspan(sizeof(header), header.nlmsg_len - sizeof(header));
    rest = rest.subspan(std::min<std::size_t>(NLMSG_ALIGN(header.nlmsg_len), rest.size()));
    if (header.nlmsg_seq != 0 && !outcome.ours(header)) continue;  // late answer to an earlier, failed conversation
    if ((header.nlmsg_flags & NLM_F_DUMP_INTR) != 0) outcome.interrupted = true;
    if (header.nlmsg_type == NLMSG_ERROR)
      outcome.take_error(header, payload);
    else if (header.nlmsg_type == NLMSG_DONE)
      outcome.done = true;
    else if (visit)
      visit({header.nlmsg_type, payload});
  }
  return true;
}

void NetlinkSocket::query(NetlinkBatch& batch, std::string_view what,
                          const std::function<void(const NetlinkReply&)>& visit) {
  for (const std::size_t start : batch.starts_) batch.header_at(start)->nlmsg_flags |= NLM_F_ACK;
  Outcome outcome;
  outcome.first = sequence_ + 1;
  send(batch, what);
  outcome.last = sequence_;
  while (outcome.acknowledged < batch.messages() && read_some(MSG_DONTWAIT, outcome, visit)) {
  }
  if (outcome.error != 0) outcome.throw_as(what);
  if (outcome.acknowledged < batch.messages()) fail(ErrorKind::internal, "{}: the kernel did not answer", what);
}

void NetlinkSocket::execute(NetlinkBatch& batch, std::string_view what) { query(batch, what, {}); }

void NetlinkSocket::dump(NetlinkBatch& batch, std::string_view what,
                         const std::function<void(const NetlinkReply&)>& visit, const std::function<void()>& restart) {
  batch.header_at(batch.starts_.at(0))->nlmsg_flags |= NLM_F_DUMP;
  for (int attempt = 0; attempt < kDumpAttempts; ++attempt) {
    if (attempt > 0 && restart) restart();
    Outcome outcome;
    outcome.first = sequence_ + 1;
    send(batch, what);
    outcome.last = sequence_;
    while (!outcome.done && outcome.error == 0) read_some(0, outcome, visit);
    if (outcome.error != 0) outcome.throw_as(what);
    if (!outcome.interrupted || !restart) return;
  }
  fail(ErrorKind::unavailable, "{}: the table changes faster than it can be read", what);
}

void NetlinkSocket::transaction(NetlinkBatch& batch, std::string_view what) {
  // Only the last change is acknowledged: errors come for every message, acknowledgements would flood the socket.
  if (batch.messages() < 3) return;
  batch.header_at(batch.starts_[batch.messages() - 2])->nlmsg_flags |= NLM_F_ACK;
  Outcome outcome;
  outcome.first = sequence_ + 1;
  send(batch, what);
  outcome.last = sequence_;
  while (read_some(MSG_DONTWAIT, outcome, {})) {
  }
  if (outcome.error != 0) outcome.throw_as(what);
  if (outcome.acknowledged == 0) fail(ErrorKind::internal, "{}: the kernel did not answer", what);
}

void NetlinkSocket::join(unsigned group) {
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  if (::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) fail_errno("bind netlink");
  if (::setsockopt(fd_.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) != 0)
    fail_errno("join netlink group {}", group);
}

bool NetlinkSocket::receive(const std::function<void(const NetlinkReply&)>& visit) {
  Outcome outcome;  // multicast messages carry the sequence numbers of whoever caused them
  outcome.last = UINT32_MAX;
  try {
    return read_some(0, outcome, visit);
  } catch (const Error& error) {
    if (error.number() == ENOBUFS) return false;
    throw;
  }
}

}  // namespace bryo::kernel
