#include "rootless/usernet/reassembly.hpp"

#include <algorithm>

#include "rootless/usernet/packet.hpp"

namespace bryo::rootless::usernet {
namespace {

constexpr std::uint16_t kMoreFragments = 0x2000;
constexpr std::uint16_t kOffset = 0x1fff;
constexpr std::size_t kHeaders = kEthernetHeader + kIp4Header;
constexpr std::size_t kLargestPayload = 65535 - kIp4Header;

}  // namespace

bool is_fragment(Frame frame) {
  return frame.size() >= kHeaders && read16(frame, 12) == kEtherIp4 &&
         (read16(frame, kEthernetHeader + 6) & (kMoreFragments | kOffset)) != 0;
}

std::span<std::uint8_t> Reassembly::take(Frame fragment, std::int64_t now) {
  std::erase_if(datagrams_, [now](const Datagram& datagram) { return datagram.deadline <= now; });
  const Frame ip = fragment.subspan(kEthernetHeader);
  const std::size_t total = read16(ip, 2);
  // Fragments with options do not occur.
  if (ip[0] != 0x45 || total <= kIp4Header || total > ip.size() || fold(sum16(ip.first(kIp4Header))) != 0) return {};
  const std::uint16_t place = read16(ip, 6);
  const bool last = (place & kMoreFragments) == 0;
  const std::size_t begin = static_cast<std::size_t>(place & kOffset) * 8, size = total - kIp4Header;
  if ((!last && size % 8 != 0) || begin + size > kLargestPayload) return {};
  Datagram& datagram = find({read32(ip, 12), read32(ip, 16), read16(ip, 4), ip[9]}, now);
  const bool sound = add(datagram, fragment, {begin, begin + size}, last);
  if (sound && (datagram.total == 0 || datagram.received < datagram.total)) return {};
  whole_ = std::move(datagram.frame);
  datagrams_.erase(datagrams_.begin() + (&datagram - datagrams_.data()));
  if (!sound) return {};
  const std::span<std::uint8_t> header = std::span(whole_).subspan(kEthernetHeader, kIp4Header);
  write16(header, 2, static_cast<std::uint16_t>(whole_.size() - kEthernetHeader));
  write16(header, 6, 0);
  write16(header, 10, 0);
  write16(header, 10, fold(sum16(header)));
  return whole_;
}

Reassembly::Datagram& Reassembly::find(const Key& key, std::int64_t now) {
  const auto found = std::ranges::find(datagrams_, key, &Datagram::key);
  if (found != datagrams_.end()) return *found;
  // The oldest makes room.
  if (datagrams_.size() == kMostDatagrams) datagrams_.erase(datagrams_.begin());
  Datagram& made = datagrams_.emplace_back();
  made.key = key;
  made.deadline = now + kPatience;
  return made;
}

bool Reassembly::add(Datagram& datagram, Frame fragment, Piece piece, bool last) {
  for (const Piece& there : datagram.pieces) {
    if (there == piece) return true;  // sent twice
    if (piece.begin < there.end && there.begin < piece.end) return false;
    if (last && there.end > piece.end) return false;
  }
  if (datagram.total != 0 && (last || piece.end > datagram.total)) return false;
  if (datagram.pieces.size() == kMostPieces) return false;
  if (last) datagram.total = piece.end;
  datagram.pieces.push_back(piece);
  datagram.received += piece.end - piece.begin;
  if (datagram.frame.size() < kHeaders + piece.end) datagram.frame.resize(kHeaders + piece.end);
  // The headers of the first piece are those of the datagram; until it comes, any will do.
  if (piece.begin == 0 || datagram.pieces.size() == 1)
    std::ranges::copy(fragment.first(kHeaders), datagram.frame.begin());
  std::ranges::copy(fragment.subspan(kHeaders, piece.end - piece.begin),
                    datagram.frame.begin() + static_cast<std::ptrdiff_t>(kHeaders + piece.begin));
  return true;
}

}  // namespace bryo::rootless::usernet
