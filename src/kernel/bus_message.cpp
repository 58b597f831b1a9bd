#include "kernel/bus_message.hpp"

#include <cstring>

#include "base/error.hpp"

namespace bryo::kernel {
namespace {

constexpr std::size_t kMostBytes = 1024 * 1024;
constexpr std::uint8_t kLittleEndian = 'l';
constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kStructAlignment = 8;

enum class Header : std::uint8_t {
  path = 1,
  interface = 2,
  member = 3,
  error = 4,
  reply_to = 5,
  destination = 6,
  sender = 7,
  signature = 8,
};

[[noreturn]] void refuse(const char* what) { fail(ErrorKind::internal, "message from systemd: {}", what); }

struct SignatureOf {
  std::string_view operator()(bool) const { return "b"; }
  std::string_view operator()(const std::string&) const { return "s"; }
  std::string_view operator()(std::uint64_t) const { return "t"; }
  std::string_view operator()(const std::vector<std::uint32_t>&) const { return "au"; }
  std::string_view operator()(const std::vector<std::uint8_t>&) const { return "ay"; }
  std::string_view operator()(const BusTree& value) const { return value.type; }
};

struct ValueWriter {
  BusWriter& out;
  void operator()(bool value) const { out.number(value ? 1 : 0); }
  void operator()(const std::string& value) const { out.string(value); }
  void operator()(std::uint64_t value) const { out.number64(value); }
  void operator()(const std::vector<std::uint32_t>& list) const {
    out.array(4, [&] {
      for (const std::uint32_t value : list) out.number(value);
    });
  }
  void operator()(const std::vector<std::uint8_t>& list) const {
    out.array(1, [&] {
      for (const std::uint8_t value : list) out.byte(value);
    });
  }
  void operator()(const BusTree& value) const { out.tree(value); }
};

// D-Bus specification, "Marshaling (Wire Format)".
std::size_t alignment_of(char type) {
  if (std::string_view("xtd({").find(type) != std::string_view::npos) return 8;
  if (std::string_view("biuhsoa").find(type) != std::string_view::npos) return 4;
  return type == 'n' || type == 'q' ? 2 : 1;
}

void header_field(BusWriter& out, Header field, char type, const std::string& value) {
  if (value.empty()) return;
  out.align(kStructAlignment);
  out.byte(static_cast<std::uint8_t>(field));
  out.signature(std::string_view(&type, 1));
  if (type == 'g')
    out.signature(value);
  else
    out.string(value);
}

}  // namespace

void BusWriter::align(std::size_t to) {
  while (bytes_.size() % to != 0) bytes_.push_back(std::byte{0});
}

void BusWriter::byte(std::uint8_t value) { bytes_.push_back(static_cast<std::byte>(value)); }

void BusWriter::number(std::uint32_t value) {
  align(4);
  append(std::as_bytes(std::span(&value, 1)));
}

void BusWriter::number64(std::uint64_t value) {
  align(8);
  append(std::as_bytes(std::span(&value, 1)));
}

void BusWriter::string(std::string_view value) {
  number(static_cast<std::uint32_t>(value.size()));
  append(std::as_bytes(std::span(value)));
  byte(0);
}

void BusWriter::signature(std::string_view value) {
  byte(static_cast<std::uint8_t>(value.size()));
  append(std::as_bytes(std::span(value)));
  byte(0);
}

void BusWriter::variant(const BusValue& value) {
  signature(std::visit(SignatureOf{}, value));
  std::visit(ValueWriter{*this}, value);
}

void BusWriter::tree(const BusTree& value) {
  const char type = value.type[0];
  align(alignment_of(type));
  if (type == 'a') {
    array(alignment_of(value.type[1]), [&] {
      for (const BusTree& member : value.members) tree(member);
    });
  } else if (type == '(' || type == '{') {
    for (const BusTree& member : value.members) tree(member);
  } else if (type == 'v') {
    signature(value.members.at(0).type);
    tree(value.members[0]);
  } else if (type == 's' || type == 'o') {
    string(value.text);
  } else if (type == 'g') {
    signature(value.text);
  } else {
    const std::size_t size = type == 'b' ? 4 : type == 'y' ? 1 : alignment_of(type);
    append(std::as_bytes(std::span(&value.bits, 1)).first(size));
  }
}

void BusWriter::properties(std::span<const UnitProperty> list) {
  array(kStructAlignment, [&] {
    for (const UnitProperty& property : list) {
      align(kStructAlignment);
      string(property.name);
      variant(property.value);
    }
  });
}

void BusWriter::patch(std::size_t at, std::uint32_t value) { std::memcpy(&bytes_[at], &value, sizeof value); }

std::span<const std::byte> BusReader::take(std::size_t size) {
  if (size > bytes_.size() - at_) refuse("cut short");
  const auto out = bytes_.subspan(at_, size);
  at_ += size;
  return out;
}

void BusReader::align(std::size_t to) {
  while (at_ % to != 0) take(1);
}

std::uint8_t BusReader::byte() { return static_cast<std::uint8_t>(take(1)[0]); }

std::uint32_t BusReader::number() {
  align(4);
  std::uint32_t value = 0;
  std::memcpy(&value, take(4).data(), 4);
  return value;
}

std::string BusReader::string() {
  const auto text = take(number());
  std::string out(reinterpret_cast<const char*>(text.data()), text.size());
  take(1);
  return out;
}

std::string BusReader::signature() {
  const auto text = take(byte());
  std::string out(reinterpret_cast<const char*>(text.data()), text.size());
  take(1);
  return out;
}

void BusReader::skip(char type) {
  switch (type) {
    case 'y':
      byte();
      return;
    case 'b':
    case 'u':
    case 'i':
      number();
      return;
    case 't':
    case 'x':
      align(8);
      take(8);
      return;
    case 's':
    case 'o':
      string();
      return;
    case 'g':
      signature();
      return;
    default:
      refuse("a value of an unexpected type");
  }
}

std::vector<std::byte> encode_call(const BusCall& call, std::uint32_t serial) {
  BusWriter out;
  out.byte(kLittleEndian);
  out.byte(static_cast<std::uint8_t>(BusMessageType::call));
  out.byte(0);
  out.byte(kVersion);
  out.number(static_cast<std::uint32_t>(call.body.size()));
  out.number(serial);
  out.array(kStructAlignment, [&] {
    header_field(out, Header::path, 'o', call.path);
    header_field(out, Header::interface, 's', call.interface);
    header_field(out, Header::member, 's', call.member);
    header_field(out, Header::destination, 's', call.destination);
    header_field(out, Header::signature, 'g', call.signature);
  });
  out.align(kStructAlignment);
  out.append(call.body);
  return out.bytes();
}

std::size_t bus_message_size(std::span<const std::byte> fixed_header) {
  BusReader in(fixed_header);
  if (in.byte() != kLittleEndian) refuse("not little-endian");
  in.byte();
  in.byte();
  if (in.byte() != kVersion) refuse("of an unknown version of the protocol");
  const std::size_t body = in.number();
  in.number();
  const std::size_t fields = in.number();
  if (body > kMostBytes || fields > kMostBytes) refuse("too large");
  return kBusFixedHeader + (fields + kStructAlignment - 1) / kStructAlignment * kStructAlignment + body;
}

BusMessage decode_message(std::span<const std::byte> whole) {
  const std::size_t size = bus_message_size(whole.first(std::min(whole.size(), kBusFixedHeader)));
  if (whole.size() != size) refuse("of another size than it says");
  BusReader in(whole);
  BusMessage out;
  in.byte();
  out.type = static_cast<BusMessageType>(in.byte());
  in.byte();
  in.byte();
  const std::size_t body = in.number();
  in.number();
  const std::size_t end = kBusFixedHeader + in.number();
  while (in.position() < end) {
    in.align(kStructAlignment);
    const auto field = static_cast<Header>(in.byte());
    const std::string type = in.signature();
    if (type.size() != 1) refuse("a header field of an unexpected type");
    if (field == Header::reply_to && type == "u")
      out.reply_to = in.number();
    else if (field == Header::interface && type == "s")
      out.interface = in.string();
    else if (field == Header::member && type == "s")
      out.member = in.string();
    else if (field == Header::error && type == "s")
      out.error = in.string();
    else if (field == Header::signature && type == "g")
      out.signature = in.signature();
    else
      in.skip(type[0]);
  }
  const auto rest = whole.last(body);
  out.body.assign(rest.begin(), rest.end());
  return out;
}

}  // namespace bryo::kernel
