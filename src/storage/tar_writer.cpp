#include "storage/tar_writer.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::storage {
namespace {

constexpr std::uint64_t kMaxOctal7 = 07777777;          // mode, ids, device numbers
constexpr std::uint64_t kMaxOctal11 = 077777777777ULL;  // size, time
constexpr std::array<std::byte, 1024> kZeros{};

char flag_of(TarType type) {
  switch (type) {
    case TarType::file:
      return '0';
    case TarType::hard_link:
      return '1';
    case TarType::symlink:
      return '2';
    case TarType::character_device:
      return '3';
    case TarType::block_device:
      return '4';
    case TarType::directory:
      return '5';
    case TarType::fifo:
      return '6';
  }
  return '0';
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

// Where to cut a name into ustar's prefix (155) and name (100).
std::optional<std::size_t> split_point(std::string_view name) {
  if (name.size() > 256) return std::nullopt;
  // A directory's last slash stays with its name.
  const std::size_t from = std::min<std::size_t>(155, name.ends_with('/') ? name.size() - 2 : name.size());
  const std::size_t slash = name.rfind('/', from);
  if (slash == std::string_view::npos || slash == 0 || name.size() - slash - 1 > 100) return std::nullopt;
  return slash;
}

// The length counts itself.
std::string pax_record(std::string_view key, std::string_view value) {
  const std::size_t body = key.size() + value.size() + 3;
  std::size_t length = body + std::to_string(body).size();
  if (std::to_string(length).size() + body != length) length = body + std::to_string(length).size();
  return fmt::format("{} {}={}\n", length, key, value);
}

std::string pax_time(const TarTime& time) {
  std::int64_t seconds = time.seconds;
  std::uint32_t nanoseconds = time.nanoseconds;
  const bool negative = seconds < 0;
  if (negative) {
    seconds = -seconds;
    if (nanoseconds > 0) {
      --seconds;
      nanoseconds = 1'000'000'000 - nanoseconds;
    }
  }
  std::string text = fmt::format("{}{}", negative ? "-" : "", seconds);
  if (nanoseconds == 0) return text;
  text += fmt::format(".{:09}", nanoseconds);
  while (text.back() == '0') text.pop_back();
  return text;
}

class Block {
 public:
  void text(std::size_t at, std::size_t size, std::string_view value) {
    std::copy_n(value.begin(), std::min(size, value.size()), block_.begin() + static_cast<std::ptrdiff_t>(at));
  }
  // Zero when it does not fit: a pax record says it then.
  void octal(std::size_t at, std::size_t size, std::uint64_t value) {
    const std::uint64_t most = size == 8 ? kMaxOctal7 : kMaxOctal11;
    text(at, size, fmt::format("{:0{}o}", value > most ? 0 : value, size - 1));
  }
  void seal() {
    text(148, 8, "        ");
    unsigned sum = 0;
    for (const char c : block_) sum += static_cast<unsigned char>(c);
    block_[154] = '\0';
    text(148, 7, fmt::format("{:06o}", sum));
    block_[154] = '\0';
    block_[155] = ' ';
  }
  std::span<const std::byte> bytes() const { return std::as_bytes(std::span(block_)); }

 private:
  std::array<char, kTarBlock> block_{};
};

bool fits_ustar(std::string_view name) { return is_ascii(name) && (name.size() <= 100 || split_point(name)); }

std::string pax_records(const TarEntry& entry) {
  std::string records;
  if (entry.type == TarType::file && entry.size > kMaxOctal11)
    records += pax_record("size", std::to_string(entry.size));
  if (!fits_ustar(entry.name)) records += pax_record("path", entry.name);
  if (!is_ascii(entry.link) || entry.link.size() > 100) records += pax_record("linkpath", entry.link);
  if (entry.uid > kMaxOctal7) records += pax_record("uid", std::to_string(entry.uid));
  if (entry.gid > kMaxOctal7) records += pax_record("gid", std::to_string(entry.gid));
  const bool odd_time =
      entry.mtime.nanoseconds != 0 || entry.mtime.seconds < 0 || std::cmp_greater(entry.mtime.seconds, kMaxOctal11);
  if (odd_time) records += pax_record("mtime", pax_time(entry.mtime));
  for (const auto& [key, value] : entry.xattrs) records += pax_record("SCHILY.xattr." + key, value);
  return records;
}

Block header_of(const TarEntry& entry) {
  Block block;
  const auto cut = entry.name.size() > 100 && is_ascii(entry.name) ? split_point(entry.name) : std::nullopt;
  if (cut) {
    block.text(345, 155, std::string_view(entry.name).substr(0, *cut));
    block.text(0, 100, std::string_view(entry.name).substr(*cut + 1));
  } else {
    block.text(0, 100, entry.name);
  }
  block.octal(100, 8, entry.mode & 07777U);
  block.octal(108, 8, entry.uid);
  block.octal(116, 8, entry.gid);
  block.octal(124, 12, entry.type == TarType::file ? entry.size : 0);
  block.octal(136, 12, entry.mtime.seconds < 0 ? 0 : static_cast<std::uint64_t>(entry.mtime.seconds));
  block.text(156, 1, std::string(1, flag_of(entry.type)));
  block.text(157, 100, entry.link);
  block.text(257, 8, std::string_view("ustar\00000", 8));
  block.octal(329, 8, entry.device_major);
  block.octal(337, 8, entry.device_minor);
  block.seal();
  return block;
}

}  // namespace

void TarWriter::write_padding(std::uint64_t size) {
  const std::size_t rest = static_cast<std::size_t>((kTarBlock - size % kTarBlock) % kTarBlock);
  if (rest > 0) sink_.write(std::span(kZeros).first(rest));
}

void TarWriter::write_pax(const TarEntry& entry, std::string_view records) {
  TarEntry extension;
  extension.name = "PaxHeaders.0/" + entry.name.substr(entry.name.rfind('/', entry.name.size() - 2) + 1);
  for (char& c : extension.name)
    if (static_cast<unsigned char>(c) >= 0x80) c = '_';
  extension.name.resize(std::min<std::size_t>(extension.name.size(), 100));
  while (extension.name.ends_with('/')) extension.name.pop_back();
  extension.mode = 0644;
  extension.size = records.size();
  Block block = header_of(extension);
  block.text(156, 1, "x");
  block.seal();
  sink_.write(block.bytes());
  sink_.write(std::as_bytes(std::span(records)));
  write_padding(records.size());
}

void TarWriter::begin(const TarEntry& entry) {
  if (missing_ != 0) fail(ErrorKind::internal, "archive: content of the last entry is missing");
  if (entry.name.empty()) fail(ErrorKind::internal, "archive: entry without a name");
  const std::string records = pax_records(entry);
  if (!records.empty()) write_pax(entry, records);
  sink_.write(header_of(entry).bytes());
  size_ = missing_ = entry.type == TarType::file ? entry.size : 0;
}

void TarWriter::content(std::span<const std::byte> bytes) {
  if (bytes.size() > missing_) fail(ErrorKind::internal, "archive: too much content");
  if (bytes.empty()) return;
  sink_.write(bytes);
  missing_ -= bytes.size();
  if (missing_ == 0) write_padding(size_);
}

void TarWriter::add(const TarEntry& entry, std::string_view text) {
  begin(entry);
  content(std::as_bytes(std::span(text)));
}

void TarWriter::pad() {
  while (missing_ > 0)
    content(std::span(kZeros).first(static_cast<std::size_t>(std::min<std::uint64_t>(missing_, kZeros.size()))));
}

void TarWriter::finish() {
  if (missing_ != 0) fail(ErrorKind::internal, "archive: content of the last entry is missing");
  sink_.write(kZeros);
}

}  // namespace bryo::storage
