// Messages of D-Bus as far as talking to systemd's manager takes them (D-Bus specification, "Message Protocol").
// Written here, and not with libsystemd, because bryo-oci is a static program and libsystemd exists as a shared object
// only. Pure: bytes in, bytes out. Little-endian only, as every host of ours is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace bryo::kernel {

// A value of any type but "h" with a descriptor behind it: its signature (one complete type), and what that needs.
struct BusTree {
  std::string type;
  std::uint64_t bits = 0;        // y n q i u x t h b; d: as the processor keeps it
  std::string text;              // s o g
  std::vector<BusTree> members;  // of an array, a struct, a dictionary's entry; one of a variant
  bool operator==(const BusTree&) const = default;
};

// The types that properties of a unit have: b, s, t, au, ay, and whatever a user names.
using BusValue =
    std::variant<bool, std::string, std::uint64_t, std::vector<std::uint32_t>, std::vector<std::uint8_t>, BusTree>;

struct UnitProperty {
  std::string name;
  BusValue value;
  bool operator==(const UnitProperty&) const = default;
};

// Marshals values, each aligned as its type wants.
class BusWriter {
 public:
  void byte(std::uint8_t value);
  void number(std::uint32_t value);
  void number64(std::uint64_t value);
  void string(std::string_view value);     // s and o
  void signature(std::string_view value);  // g
  void variant(const BusValue& value);
  void tree(const BusTree& value);
  void properties(std::span<const UnitProperty> list);  // a(sv)
  // An array whose elements `write` makes; `alignment` is that of its elements.
  template <typename Write>
  void array(std::size_t alignment, Write&& write) {
    number(0);
    const std::size_t length_at = bytes_.size() - 4;
    align(alignment);
    const std::size_t begin = bytes_.size();
    write();
    patch(length_at, static_cast<std::uint32_t>(bytes_.size() - begin));
  }
  void align(std::size_t to);
  void append(std::span<const std::byte> bytes) { bytes_.insert(bytes_.end(), bytes.begin(), bytes.end()); }
  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  void patch(std::size_t at, std::uint32_t value);
  std::vector<std::byte> bytes_;
};

// Reads in the same order; Error{internal} for what is cut short.
class BusReader {
 public:
  explicit BusReader(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::uint8_t byte();
  std::uint32_t number();
  std::string string();
  std::string signature();
  void align(std::size_t to);
  // Over a value of this (simple) signature: y, b, u, i, s, o, g, t, x.
  void skip(char type);
  bool done() const { return at_ >= bytes_.size(); }
  std::size_t position() const { return at_; }

 private:
  std::span<const std::byte> take(std::size_t size);
  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
};

struct BusCall {
  std::string destination;
  std::string path;
  std::string interface;
  std::string member;
  std::string signature;  // of the body
  std::vector<std::byte> body;
};
std::vector<std::byte> encode_call(const BusCall& call, std::uint32_t serial);

enum class BusMessageType : std::uint8_t { call = 1, reply = 2, error = 3, signal = 4 };

struct BusMessage {
  BusMessageType type = BusMessageType::call;
  std::uint32_t reply_to = 0;
  std::string interface;
  std::string member;
  std::string error;  // name of one
  std::string signature;
  std::vector<std::byte> body;
};
inline constexpr std::size_t kBusFixedHeader = 16;
// Size of the whole message whose first 16 bytes these are; Error{internal} for one that is no message, or too large.
std::size_t bus_message_size(std::span<const std::byte> fixed_header);
BusMessage decode_message(std::span<const std::byte> whole);

}  // namespace bryo::kernel
