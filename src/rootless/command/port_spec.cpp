#include "rootless/command/port_spec.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::rootless::command {
namespace {

using kernel::Family;
using kernel::IpAddress;

[[noreturn]] void refuse(std::string_view text, std::string_view why) {
  fail(ErrorKind::invalid_argument, "published port \"{}\": {}; write [IP:]PORT:[IP:]PORT/PROTOCOL", printable(text),
       why);
}

// At ':' outside of brackets; brackets are dropped.
std::vector<std::string> pieces_of(std::string_view text) {
  std::vector<std::string> out(1);
  bool bracket = false;
  for (const char c : text) {
    if (c == '[' || c == ']')
      bracket = c == '[';
    else if (c == ':' && !bracket)
      out.emplace_back();
    else
      out.back() += c;
  }
  return out;
}

std::uint16_t port_of(std::string_view text, const std::string& piece) {
  const auto port = parse_integer<std::uint16_t>(piece);
  if (!port || *port == 0) refuse(text, fmt::format("\"{}\" is not a port", printable(piece, 40)));
  return *port;
}

bool is_port(const std::string& piece) { return parse_integer<std::uint32_t>(piece).has_value(); }

// The family that the protocol's last letter asks for.
Family family_of(std::string_view proto) {
  if (proto.ends_with('4')) return Family::v4;
  return proto.ends_with('6') ? Family::v6 : Family::none;
}

void check_address(const PortSpec& spec, const std::string& text) {
  if (text.empty()) return;
  const auto address = IpAddress::try_parse(text);
  if (!address) refuse(spec.str(), fmt::format("\"{}\" is not an IP address", printable(text, 60)));
  const Family wanted = family_of(spec.proto);
  if (wanted != Family::none && address->family() != wanted)
    refuse(spec.str(), fmt::format("{} is no address for {}", text, spec.proto));
}

std::string bracketed(const std::string& address) {
  return address.find(':') == std::string::npos ? address : "[" + address + "]";
}

}  // namespace

PortSpec PortSpec::parse(std::string_view text) {
  const auto halves = split_once(text, '/');
  if (!halves) refuse(text, "the protocol is missing (\"/tcp\")");
  PortSpec spec;
  spec.proto = halves->second;
  const auto pieces = pieces_of(halves->first);
  std::size_t at = 0;
  if (!is_port(pieces[at])) spec.parent_ip = pieces[at++];
  if (at >= pieces.size()) refuse(text, "the ports are missing");
  spec.parent_port = port_of(text, pieces[at++]);
  if (at + 1 < pieces.size()) spec.child_ip = pieces[at++];
  if (at + 1 != pieces.size()) refuse(text, "the port inside is missing");
  spec.child_port = port_of(text, pieces[at]);
  spec.check();
  return spec;
}

void PortSpec::check() const {
  if (std::find(std::begin(kProtocols), std::end(kProtocols), proto) == std::end(kProtocols))
    fail(ErrorKind::invalid_argument, "unknown protocol \"{}\" of a published port: tcp, tcp4, tcp6, udp, udp4 or udp6",
         printable(proto, 40));
  if (parent_port == 0 || child_port == 0) refuse(str(), "0 is not a port");
  check_address(*this, parent_ip);
  check_address(*this, child_ip);
}

std::vector<IpAddress> PortSpec::listen_addresses() const {
  const auto given = parent_ip.empty() ? std::nullopt : IpAddress::try_parse(parent_ip);
  const Family family = family_of(proto);
  if (given && !(given->is_any() && family == Family::none)) return {*given};
  if (family != Family::none) return {IpAddress::any(family)};
  return {IpAddress::any(Family::v4), IpAddress::any(Family::v6)};
}

std::string PortSpec::target() const {
  if (!child_ip.empty()) return child_ip;
  return family_of(proto) == Family::v6 ? "::1" : "127.0.0.1";
}

bool PortSpec::conflicts_with(const PortSpec& other) const {
  if (tcp() != other.tcp() || parent_port != other.parent_port) return false;
  for (const IpAddress& ours : listen_addresses())
    for (const IpAddress& theirs : other.listen_addresses())
      if (ours.family() == theirs.family() && (ours == theirs || ours.is_any() || theirs.is_any())) return true;
  return false;
}

std::string PortSpec::str() const {
  const std::string outside = parent_ip.empty() ? "" : bracketed(parent_ip) + ":";
  const std::string inside = child_ip.empty() ? "" : bracketed(child_ip) + ":";
  return fmt::format("{}{}:{}{}/{}", outside, parent_port, inside, child_port, proto);
}

}  // namespace bryo::rootless::command
