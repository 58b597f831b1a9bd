// Netlink (netlink(7)): build requests, send them in one system call, read what the kernel says.
//
// NetlinkBatch is a buffer of messages, pure. NetlinkSocket belongs to the network namespace in which it was opened,
// for ever, whichever thread uses it later; one thread at a time. The kernel handles requests inside sendmsg(2), so
// every answer is there when it returns: nothing here waits. Failures throw Error: "<what>: <errno text> (<the kernel's
// own words, NETLINK_EXT_ACK>)".
#pragma once

#include <linux/netlink.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.hpp"

namespace bryo::kernel {

class NetlinkBatch {
 public:
  // Starts a message; `header` is the family's fixed part (ifinfomsg, nfgenmsg …). NLM_F_REQUEST is always set.
  template <typename Header>
  NetlinkBatch& message(std::uint16_t type, unsigned flags, const Header& header) {
    start(type, flags, &header, sizeof(header));
    return *this;
  }
  NetlinkBatch& bytes(unsigned type, std::span<const std::byte> value);
  NetlinkBatch& raw(unsigned type, const void* value, std::size_t size) {
    return bytes(type, {static_cast<const std::byte*>(value), size});
  }
  NetlinkBatch& u8(unsigned type, std::uint8_t value) { return raw(type, &value, sizeof(value)); }
  NetlinkBatch& u16(unsigned type, std::uint16_t value) { return raw(type, &value, sizeof(value)); }
  NetlinkBatch& u32(unsigned type, std::uint32_t value) { return raw(type, &value, sizeof(value)); }
  NetlinkBatch& be16(unsigned type, std::uint16_t value);
  NetlinkBatch& be32(unsigned type, std::uint32_t value);
  // With its terminating zero.
  NetlinkBatch& text(unsigned type, std::string_view value);
  // fill() adds the attributes inside.
  NetlinkBatch& nest(unsigned type, const std::function<void()>& fill);
  // A fixed structure inside an attribute, before nested attributes (veth's peer).
  NetlinkBatch& append(const void* value, std::size_t size);

  std::size_t messages() const { return starts_.size(); }
  bool empty() const { return starts_.empty(); }

 private:
  friend class NetlinkSocket;
  void start(std::uint16_t type, unsigned flags, const void* header, std::size_t size);
  void align();
  void finish_message();
  nlmsghdr* header_at(std::size_t offset);

  std::vector<std::byte> buffer_;
  std::vector<std::size_t> starts_;
};

// The attributes of a received message. Views into the receive buffer.
class NetlinkAttributes {
 public:
  explicit NetlinkAttributes(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::optional<std::span<const std::byte>> find(unsigned type) const;
  // Empty when the attribute is absent.
  NetlinkAttributes nested(unsigned type) const;
  std::string text(unsigned type) const;
  std::optional<std::uint8_t> u8(unsigned type) const { return number<std::uint8_t>(type); }
  std::optional<std::uint32_t> u32(unsigned type) const { return number<std::uint32_t>(type); }
  std::optional<std::uint16_t> be16(unsigned type) const;
  std::optional<std::uint32_t> be32(unsigned type) const;
  void each(const std::function<void(unsigned type, std::span<const std::byte> value)>& visit) const;

 private:
  template <typename Number>
  std::optional<Number> number(unsigned type) const {
    const auto value = find(type);
    if (!value || value->size() < sizeof(Number)) return std::nullopt;
    Number out;
    std::memcpy(&out, value->data(), sizeof(out));
    return out;
  }
  std::span<const std::byte> bytes_;
};

struct NetlinkReply {
  std::uint16_t type = 0;
  std::span<const std::byte> payload;  // fixed header and attributes

  template <typename Header>
  Header header() const {
    Header out{};
    std::memcpy(&out, payload.data(), payload.size() < sizeof(out) ? payload.size() : sizeof(out));
    return out;
  }
  template <typename Header>
  NetlinkAttributes attributes() const {
    constexpr std::size_t size = NLMSG_ALIGN(sizeof(Header));
    return NetlinkAttributes(payload.size() > size ? payload.subspan(size) : std::span<const std::byte>());
  }
};

class NetlinkSocket {
 public:
  // NETLINK_ROUTE, NETLINK_NETFILTER. In the calling thread's network namespace.
  explicit NetlinkSocket(int protocol);
  // One that another process or thread has opened, with nothing on its way.
  explicit NetlinkSocket(UniqueFd opened) : fd_(std::move(opened)) {}
  NetlinkSocket(NetlinkSocket&&) = default;
  NetlinkSocket& operator=(NetlinkSocket&&) = default;

  // Sends all and demands an acknowledgement for each. Later messages are carried out even when an earlier one fails
  // (rtnetlink has no transactions); the first failure is thrown.
  void execute(NetlinkBatch& batch, std::string_view what);
  // As execute, and passes on what is answered.
  void query(NetlinkBatch& batch, std::string_view what, const std::function<void(const NetlinkReply&)>& visit);
  // One message with NLM_F_DUMP. Starts again when the kernel says that the table changed meanwhile, after `restart`.
  void dump(NetlinkBatch& batch, std::string_view what, const std::function<void(const NetlinkReply&)>& visit,
            const std::function<void()>& restart = {});
  // An nf_tables transaction: all or nothing. The first and the last message are the batch's begin and end.
  void transaction(NetlinkBatch& batch, std::string_view what);
  // Joins a multicast group; then receive() waits for its messages.
  void join(unsigned group);
  // Blocks until a message comes; false when the socket was shut down or interrupted, or messages were lost.
  bool receive(const std::function<void(const NetlinkReply&)>& visit);
  int get() const { return fd_.get(); }
  // For another process.
  UniqueFd take() && { return std::move(fd_); }

 private:
  struct Outcome;
  void send(NetlinkBatch& batch, std::string_view what);
  // false: nothing there now.
  bool read_some(int flags, Outcome& outcome, const std::function<void(const NetlinkReply&)>& visit);

  UniqueFd fd_;
  std::uint32_t sequence_ = 0;
};

}  // namespace bryo::kernel
