// The sparse forms of tar_reader.hpp: GNU's old one ("S"), and GNU's pax ones 0.0, 0.1 and 1.0. (GNU tar manual,
// "Storing Sparse Files".)
#include <array>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "storage/tar_header.hpp"
#include "storage/tar_reader.hpp"

namespace bryo::storage {
namespace {

// CVE-2025-58183: the map is the archive's word, and memory is ours.
constexpr std::size_t kMaxRegions = 65536;

void add_region(TarEntry& entry, TarRegion region) {
  if (entry.regions.size() >= kMaxRegions)
    fail(ErrorKind::invalid_argument, "archive: {}: more than {} sparse regions", printable(entry.name), kMaxRegions);
  entry.regions.push_back(region);
}

// In order, within the file, and exactly the bytes that are stored.
void check_regions(const TarEntry& entry, std::uint64_t stored) {
  std::uint64_t end = 0;
  std::uint64_t total = 0;
  for (const TarRegion& region : entry.regions) {
    const bool fits = region.offset >= end && region.offset <= entry.size && region.size <= entry.size - region.offset;
    if (!fits) fail(ErrorKind::invalid_argument, "archive: {}: invalid sparse map", printable(entry.name));
    end = region.offset + region.size;
    total += region.size;
  }
  if (total != stored)
    fail(ErrorKind::invalid_argument, "archive: {}: sparse map and size differ", printable(entry.name));
}

// A block of 24-byte pairs; false at the end mark.
bool read_pairs(const TarHeader& block, std::size_t at, int count, TarEntry& entry) {
  for (int i = 0; i < count; ++i, at += 24) {
    if (block.byte_at(at) == '\0') return false;
    add_region(entry,
               {block.unsigned_number(at, 12, "sparse offset"), block.unsigned_number(at + 12, 12, "sparse size")});
  }
  return true;
}

}  // namespace

void TarReader::read_gnu_sparse(const std::byte* header_block, TarEntry& entry) {
  const TarHeader header(header_block);
  if (!header.is_gnu()) corrupt("sparse entry without GNU header");
  entry.sparse = true;
  entry.size = header.unsigned_number(483, 12, "size");
  read_pairs(header, 386, 4, entry);
  bool more = header.byte_at(482) != '\0';
  while (more) {
    const std::byte* block = take_block();
    if (block == nullptr) corrupt("unexpected end of file");
    const TarHeader extension(block);
    more = read_pairs(extension, 0, 21, entry) && extension.byte_at(504) != '\0';
  }
}

// Decimal numbers, one a line, at the start of the content, padded to a whole block.
void TarReader::read_sparse_10(TarEntry& entry) {
  std::string digits;
  std::uint64_t bytes = 0;
  std::span<const std::byte> piece;
  const auto read_number = [&] {
    digits.clear();
    for (;;) {
      if (piece.empty()) {
        piece = take(std::min<std::size_t>(kTarBlock, content_left_));
        if (piece.empty()) corrupt("unexpected end of sparse map");
        content_left_ -= piece.size();
      }
      const char c = static_cast<char>(piece.front());
      piece = piece.subspan(1);
      ++bytes;
      if (c == '\n') return parse_tar_number(digits, "sparse map");
      digits += c;
      if (digits.size() > 20) corrupt("invalid sparse map");
    }
  };
  const std::uint64_t count = read_number();
  if (count > kMaxRegions) corrupt("too many sparse regions");
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t offset = read_number();
    add_region(entry, {offset, read_number()});
  }
  // What is left of the last block belongs to the map.
}

void TarReader::apply_sparse(const Extensions& extensions, TarEntry& entry) {
  const auto record = [&](const char* key) {
    const auto found = extensions.pax.find(key);
    return found == extensions.pax.end() ? std::string() : found->second;
  };
  const std::string major = record("GNU.sparse.major");
  const std::string map = record("GNU.sparse.map");
  if (major == "1" && record("GNU.sparse.minor") == "0") {
    entry.sparse = true;
    read_sparse_10(entry);
    entry.size = parse_tar_number(record("GNU.sparse.realsize"), "size");
  } else if (!map.empty() || !extensions.sparse_00.empty()) {
    entry.sparse = true;
    entry.size = parse_tar_number(record("GNU.sparse.size"), "size");
    for (const TarRegion& region : extensions.sparse_00) add_region(entry, region);
    std::uint64_t offset = 0;
    bool have_offset = false;
    for (const auto piece : map.empty() ? std::vector<std::string_view>() : split(map, ',')) {
      const std::uint64_t number = parse_tar_number(piece, "sparse map");
      if (have_offset) add_region(entry, {offset, number});
      offset = number;
      have_offset = !have_offset;
    }
  }
  if (const std::string name = record("GNU.sparse.name"); !name.empty()) entry.name = name;
  if (entry.sparse) check_regions(entry, content_left_);
}

}  // namespace bryo::storage
