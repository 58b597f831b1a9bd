#include "storage/tar_reader.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "storage/tar_header.hpp"

namespace bryo::storage {
namespace {

constexpr std::uint64_t kMaxExtension = 1U << 20;
constexpr std::size_t kMaxName = 4096;
constexpr std::string_view kXattrPrefix = "SCHILY.xattr.";

std::uint64_t padding_of(std::uint64_t size) { return (kTarBlock - size % kTarBlock) % kTarBlock; }

std::optional<TarType> type_of(char flag) {
  switch (flag) {
    case '\0':
    case '0':
    case '7':
    case 'S':
      return TarType::file;
    case '1':
      return TarType::hard_link;
    case '2':
      return TarType::symlink;
    case '3':
      return TarType::character_device;
    case '4':
      return TarType::block_device;
    case '5':
      return TarType::directory;
    case '6':
      return TarType::fifo;
    default:
      return std::nullopt;
  }
}

// Value of a record, unless it is empty, which cancels the record.
template <typename Records>
const std::string* find(const Records& records, std::string_view key) {
  const auto found = records.find(key);
  return found == records.end() || found->second.empty() ? nullptr : &found->second;
}

// Long names of GNU end with a NUL; nothing counts behind it.
std::string until_nul(std::string text) {
  text.resize(std::strlen(text.c_str()));
  return text;
}

}  // namespace

void TarReader::corrupt(std::string_view why) const {
  fail(ErrorKind::invalid_argument, "archive: {} (at byte {})", why, position_);
}

std::span<const std::byte> TarReader::take(std::size_t limit) {
  if (chunk_.empty()) chunk_ = source_.next();
  const auto taken = chunk_.first(std::min(limit, chunk_.size()));
  chunk_ = chunk_.subspan(taken.size());
  position_ += taken.size();
  return taken;
}

const std::byte* TarReader::take_block() {
  const auto block = take(kTarBlock);
  if (block.empty()) return nullptr;
  if (block.size() < kTarBlock) corrupt("unexpected end of file");
  return block.data();
}

void TarReader::skip(std::uint64_t count) {
  while (count > 0) {
    const auto taken = take(static_cast<std::size_t>(std::min<std::uint64_t>(count, kChunkSize)));
    if (taken.empty()) corrupt("unexpected end of file");
    count -= taken.size();
  }
}

std::span<const std::byte> TarReader::content() {
  if (content_left_ == 0) return {};
  const auto taken = take(static_cast<std::size_t>(std::min<std::uint64_t>(content_left_, kChunkSize)));
  if (taken.empty()) corrupt("unexpected end of file");
  content_left_ -= taken.size();
  return taken;
}

void TarReader::drain() {
  while (!take(kChunkSize).empty()) {
  }
}

std::string TarReader::read_extension(std::uint64_t size, const char* what) {
  if (size > kMaxExtension) corrupt(fmt::format("{} of {} bytes is too long", what, size));
  std::string text;
  while (text.size() < size) {
    const auto taken = take(size - text.size());
    if (taken.empty()) corrupt("unexpected end of file");
    text.append(reinterpret_cast<const char*>(taken.data()), taken.size());
  }
  skip(padding_of(size));
  return text;
}

void TarReader::read_pax(std::uint64_t size, Extensions& extensions) {
  const std::string records = read_extension(size, "pax header");
  std::optional<std::uint64_t> offset;
  for_each_pax_record(records, [&](std::string_view key, std::string_view value) {
    if (key == "GNU.sparse.offset") {
      offset = parse_tar_number(value, "sparse offset");
    } else if (key == "GNU.sparse.numbytes") {
      if (!offset) corrupt("sparse size without offset");
      extensions.sparse_00.push_back({*offset, parse_tar_number(value, "sparse size")});
      offset.reset();
    } else {
      extensions.pax.insert_or_assign(std::string(key), std::string(value));
    }
  });
}

// One block of zeros is behind us. Two end the archive; a lone one is damage.
bool TarReader::read_end() {
  const std::byte* block = take_block();
  if (block != nullptr && !TarHeader(block).all_zero()) corrupt("a block of zeros between entries");
  ended_ = true;
  return false;
}

bool TarReader::next(TarEntry& entry) {
  if (ended_) return false;
  skip(content_left_);
  skip(padding_);
  content_left_ = padding_ = 0;
  Extensions extensions;
  bool extended = false;
  for (;;) {
    const std::byte* block = take_block();
    if (block == nullptr) {
      if (extended) corrupt("unexpected end of file");
      ended_ = true;
      return false;
    }
    std::array<std::byte, kTarBlock> copy;
    std::copy_n(block, kTarBlock, copy.begin());
    const TarHeader header(copy.data());
    if (header.all_zero()) return read_end();
    if (!header.checksum_holds()) corrupt("invalid header checksum: not a tar archive, or damaged");
    switch (header.type()) {
      case 'x':
        read_pax(header.size(), extensions);
        break;
      case 'g':
        // git and others leave remarks here; nothing of it concerns files.
        read_extension(header.size(), "pax header");
        break;
      case 'L':
        extensions.long_name = until_nul(read_extension(header.size(), "long name"));
        break;
      case 'K':
        extensions.long_link = until_nul(read_extension(header.size(), "long link"));
        break;
      default:
        finish_entry(copy.data(), extensions, entry);
        return true;
    }
    extended = extended || header.type() != 'g';
  }
}

void TarReader::finish_entry(const std::byte* block, Extensions& extensions, TarEntry& entry) {
  const TarHeader header(block);
  const Records& pax = extensions.pax;
  const auto type = type_of(header.type());
  if (!type) corrupt(fmt::format("unknown entry type \"{}\"", printable(std::string(1, header.type()))));
  entry = TarEntry{};
  entry.type = *type;
  const std::string* name = find(pax, "path");
  entry.name = name != nullptr                 ? *name
               : !extensions.long_name.empty() ? std::move(extensions.long_name)
                                               : header.name();
  const std::string* link = find(pax, "linkpath");
  entry.link = link != nullptr                 ? *link
               : !extensions.long_link.empty() ? std::move(extensions.long_link)
                                               : header.link();
  entry.mode = header.mode();
  const std::string* uid = find(pax, "uid");
  const std::string* gid = find(pax, "gid");
  entry.uid = uid != nullptr ? parse_tar_id(*uid, "uid") : header.uid();
  entry.gid = gid != nullptr ? parse_tar_id(*gid, "gid") : header.gid();
  const std::string* mtime = find(pax, "mtime");
  entry.mtime = mtime != nullptr ? parse_pax_time(*mtime) : TarTime{header.mtime(), 0};
  for (const auto& [key, value] : pax)
    if (key.starts_with(kXattrPrefix) && key.size() > kXattrPrefix.size())
      entry.xattrs.emplace_back(key.substr(kXattrPrefix.size()), value);
  if (*type == TarType::character_device || *type == TarType::block_device) {
    entry.device_major = header.device_major();
    entry.device_minor = header.device_minor();
  }
  // V7 had no directories of their own.
  if (header.type() == '\0' && entry.name.ends_with('/')) entry.type = TarType::directory;
  if (*type == TarType::file) {
    const std::string* size = find(pax, "size");
    content_left_ = size != nullptr ? parse_tar_number(*size, "size") : header.size();
    padding_ = padding_of(content_left_);
    entry.size = content_left_;
    if (header.type() == 'S') read_gnu_sparse(block, entry);
    apply_sparse(extensions, entry);
  }
  if (entry.name.size() > kMaxName || entry.link.size() > kMaxName)
    corrupt(fmt::format("name of {} bytes is too long", std::max(entry.name.size(), entry.link.size())));
  if (entry.name.find('\0') != std::string::npos || entry.link.find('\0') != std::string::npos)
    corrupt("a name holds a NUL byte");
}

}  // namespace bryo::storage
