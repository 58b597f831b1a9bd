#include "cli/archive/tar_entry.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cstring>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::cli {
namespace {

constexpr std::size_t kNameField = 100;
constexpr std::uint64_t kMaxOctalSize = 077777777777;
constexpr std::uint64_t kMaxOctalId = 07777777;
constexpr std::string_view kCapabilityRecord = "SCHILY.xattr.security.capability";

[[noreturn]] void broken(std::string_view what) { fail(ErrorKind::invalid_argument, "invalid tar archive: {}", what); }

void put(std::string& block, std::size_t at, std::size_t width, std::string_view text) {
  block.replace(at, std::min(width, text.size()), text.substr(0, width));
}

void put_octal(std::string& block, std::size_t at, std::size_t width, std::uint64_t number) {
  put(block, at, width, fmt::format("{:0{}o}", number, width - 1));
}

std::string plain_header(const TarEntry& entry, char type) {
  std::string block(kTarBlock, '\0');
  put(block, 0, kNameField, entry.name);
  put_octal(block, 100, 8, entry.mode & 07777U);
  put_octal(block, 108, 8, std::min(entry.uid, kMaxOctalId));
  put_octal(block, 116, 8, std::min(entry.gid, kMaxOctalId));
  put_octal(block, 124, 12, entry.size > kMaxOctalSize ? 0 : entry.size);
  put_octal(block, 136, 12, entry.mtime < 0 ? 0 : static_cast<std::uint64_t>(entry.mtime));
  block[156] = type;
  put(block, 157, kNameField, entry.link);
  put(block, 257, 8, std::string_view("ustar\00000", 8));
  put_octal(block, 329, 8, entry.device_major);
  put_octal(block, 337, 8, entry.device_minor);
  put(block, 148, 8, "        ");
  unsigned sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  put(block, 148, 8, fmt::format("{:06o}", sum) + std::string("\0 ", 2));
  return block;
}

// "LENGTH key=value\n", where LENGTH counts itself.
std::string pax_record(std::string_view key, std::string_view value) {
  const std::size_t rest = key.size() + value.size() + 3;
  std::size_t total = rest;
  while (std::to_string(total).size() + rest != total) total = std::to_string(total).size() + rest;
  return fmt::format("{} {}={}\n", total, key, value);
}

std::string pax_records(const TarEntry& entry) {
  std::string out;
  if (entry.name.size() > kNameField) out += pax_record("path", entry.name);
  if (entry.link.size() > kNameField) out += pax_record("linkpath", entry.link);
  if (entry.size > kMaxOctalSize) out += pax_record("size", std::to_string(entry.size));
  if (entry.uid > kMaxOctalId) out += pax_record("uid", std::to_string(entry.uid));
  if (entry.gid > kMaxOctalId) out += pax_record("gid", std::to_string(entry.gid));
  if (entry.mtime < 0 || entry.mtime_nanos != 0)
    out += pax_record("mtime", fmt::format("{}.{:09}", entry.mtime, entry.mtime_nanos));
  if (!entry.capability.empty()) out += pax_record(kCapabilityRecord, entry.capability);
  return out;
}

std::string_view field_text(std::string_view block, std::size_t at, std::size_t width) {
  const std::string_view field = block.substr(at, width);
  return field.substr(0, field.find('\0'));
}

// Octal digits, or with the top bit set a big-endian binary number (GNU).
std::uint64_t number_at(std::string_view block, std::size_t at, std::size_t width) {
  const std::string_view field = block.substr(at, width);
  if ((static_cast<unsigned char>(field[0]) & 0x80U) != 0) {
    std::uint64_t number = static_cast<unsigned char>(field[0]) & 0x7fU;
    for (const char c : field.substr(1)) {
      if (number > UINT64_MAX >> 9) broken("number out of range");
      number = number << 8 | static_cast<unsigned char>(c);
    }
    return number;
  }
  const std::string_view digits = trim(field_text(block, at, width));
  if (digits.empty()) return 0;
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number, 8);
  if (error != std::errc() || end != digits.data() + digits.size()) broken("bad number in a header");
  return number;
}

void check_sum(std::string_view block) {
  unsigned sum = 0;
  for (std::size_t i = 0; i < block.size(); ++i)
    sum += i >= 148 && i < 156 ? static_cast<unsigned>(' ') : static_cast<unsigned char>(block[i]);
  if (sum != number_at(block, 148, 8)) broken("header checksum mismatch");
}

template <typename Number>
Number pax_number(std::string_view text) {
  const auto number = parse_integer<Number>(text);
  if (!number) broken("bad number in a pax record");
  return *number;
}

void apply_record(std::string_view key, std::string_view value, TarEntry& entry) {
  if (key == "path")
    entry.name = value;
  else if (key == "linkpath")
    entry.link = value;
  else if (key == "size")
    entry.size = pax_number<std::uint64_t>(value);
  else if (key == "uid")
    entry.uid = pax_number<std::uint64_t>(value);
  else if (key == "gid")
    entry.gid = pax_number<std::uint64_t>(value);
  else if (key == "mtime")
    entry.mtime = pax_number<std::int64_t>(value.substr(0, value.find('.')));
  else if (key == kCapabilityRecord)
    entry.capability = value;
}

}  // namespace

std::string tar_header(const TarEntry& entry) {
  const char type = static_cast<char>(entry.type);
  const std::string records = pax_records(entry);
  if (records.empty()) return plain_header(entry, type);
  TarEntry pax;
  pax.name = "PaxHeaders.0/" + entry.name.substr(0, 80);
  pax.size = records.size();
  std::string out = plain_header(pax, 'x') + records;
  out.resize((out.size() + kTarBlock - 1) / kTarBlock * kTarBlock, '\0');
  return out + plain_header(entry, type);
}

std::optional<RawTarHeader> parse_tar_header(std::string_view block) {
  if (block.find_first_not_of('\0') == std::string_view::npos) return std::nullopt;
  check_sum(block);
  RawTarHeader out;
  out.type = block[156] == '\0' ? '0' : block[156];
  TarEntry& entry = out.entry;
  entry.name = field_text(block, 0, kNameField);
  // The prefix field belongs to ustar; GNU's own format has other things there.
  if (block.substr(257, 6) == std::string_view("ustar\0", 6))
    if (const auto prefix = field_text(block, 345, 155); !prefix.empty())
      entry.name = std::string(prefix) + "/" + entry.name;
  entry.mode = static_cast<std::uint32_t>(number_at(block, 100, 8)) & 07777U;
  entry.uid = number_at(block, 108, 8);
  entry.gid = number_at(block, 116, 8);
  entry.size = number_at(block, 124, 12);
  entry.mtime = static_cast<std::int64_t>(number_at(block, 136, 12));
  entry.link = field_text(block, 157, kNameField);
  entry.device_major = static_cast<std::uint32_t>(number_at(block, 329, 8));
  entry.device_minor = static_cast<std::uint32_t>(number_at(block, 337, 8));
  return out;
}

void apply_pax(std::string_view records, TarEntry& entry) {
  while (!records.empty()) {
    const auto blank = records.find(' ');
    const auto length = parse_integer<std::size_t>(records.substr(0, blank));
    if (blank == std::string_view::npos || !length || *length <= blank + 1 || *length > records.size() ||
        records[*length - 1] != '\n')
      broken("bad pax record");
    const std::string_view record = records.substr(blank + 1, *length - blank - 2);
    const auto parts = split_once(record, '=');
    if (!parts) broken("bad pax record");
    if (parts->first != kCapabilityRecord && parts->second.find('\0') != std::string_view::npos)
      broken("NUL in a pax record");
    apply_record(parts->first, parts->second, entry);
    records.remove_prefix(*length);
  }
}

}  // namespace bryo::cli
