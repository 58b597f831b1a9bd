#include "cli/archive/tar_reader.hpp"

#include <algorithm>
#include <array>

#include "base/error.hpp"

namespace bryo::cli {
namespace {

constexpr std::uint64_t kMaxExtension = 1 << 20;
constexpr std::uint64_t kMaxSize = std::uint64_t{1} << 62;

[[noreturn]] void broken(const char* what) { fail(ErrorKind::invalid_argument, "invalid tar archive: {}", what); }

std::uint64_t padding_of(std::uint64_t size) { return (kTarBlock - size % kTarBlock) % kTarBlock; }

}  // namespace

// False when the source ends before the first byte.
bool TarReader::fill(std::span<char> into) {
  std::size_t have = 0;
  while (have < into.size()) {
    const std::size_t got = source_(into.subspan(have));
    if (got == 0 && have == 0) return false;
    if (got == 0) broken("cut short");
    have += got;
  }
  return true;
}

void TarReader::skip() {
  std::array<char, 16 << 10> waste;
  std::uint64_t rest = left_ + padding_;
  while (rest > 0) {
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(rest, waste.size()));
    if (!fill(std::span(waste).first(size))) broken("cut short");
    rest -= size;
  }
  left_ = padding_ = 0;
}

std::string TarReader::read_extension(std::uint64_t size) {
  if (size > kMaxExtension) broken("extended header too large");
  std::string text(static_cast<std::size_t>(size), '\0');
  if (size > 0 && !fill(text)) broken("cut short");
  padding_ = padding_of(size);
  skip();
  return text;
}

std::optional<TarEntry> TarReader::next() {
  skip();
  std::string records;
  std::string long_name;
  std::string long_link;
  while (true) {
    std::array<char, kTarBlock> block;
    if (!fill(block)) return std::nullopt;
    auto header = parse_tar_header({block.data(), block.size()});
    if (!header) {
      // The end is two blocks of zeros; drain what follows so that the sender is not cut off.
      while (source_(block) > 0) {
      }
      return std::nullopt;
    }
    TarEntry& entry = header->entry;
    if (entry.size > kMaxSize) broken("size out of range");
    if (header->type == 'x') {
      records = read_extension(entry.size);
    } else if (header->type == 'g') {
      read_extension(entry.size);
    } else if (header->type == 'L') {
      long_name = read_extension(entry.size);
    } else if (header->type == 'K') {
      long_link = read_extension(entry.size);
    } else {
      if (!long_name.empty()) entry.name = long_name.substr(0, long_name.find('\0'));
      if (!long_link.empty()) entry.link = long_link.substr(0, long_link.find('\0'));
      apply_pax(records, entry);
      if (header->type < '0' || header->type > '7') broken("unknown kind of entry");
      entry.type = header->type == '7' ? TarEntry::Type::file : static_cast<TarEntry::Type>(header->type);
      if (entry.type != TarEntry::Type::file) entry.size = 0;
      if (entry.size > kMaxSize) broken("size out of range");
      left_ = entry.size;
      padding_ = padding_of(entry.size);
      return std::move(entry);
    }
  }
}

std::size_t TarReader::read(std::span<char> into) {
  const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(left_, into.size()));
  if (size == 0) return 0;
  const std::size_t got = source_(into.first(size));
  if (got == 0) broken("cut short");
  left_ -= got;
  return got;
}

}  // namespace bryo::cli
