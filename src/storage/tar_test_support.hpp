// Tests only: makes tar archives from raw bytes, so that illegal ones can be made too.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bryo::storage::test {

class RawTar {
 public:
  struct Entry {
    std::string name;
    char type = '0';
    std::string link;
    std::string content;
    unsigned mode = 0644;
    unsigned uid = 0;
    unsigned gid = 0;
    std::uint64_t mtime = 1'000'000'000;
    unsigned device_major = 0;
    unsigned device_minor = 0;
    std::uint64_t size = 0;  // 0: that of content
    std::string raw_uid;     // instead of octal text
  };

  void add_header(const Entry& entry) {
    std::string block(512, '\0');
    const auto put = [&](std::size_t at, std::string_view text) { std::memcpy(&block[at], text.data(), text.size()); };
    put(0, std::string_view(entry.name).substr(0, 100));
    put(100, fmt::format("{:07o}", entry.mode));
    put(108, entry.raw_uid.empty() ? fmt::format("{:07o}", entry.uid) : entry.raw_uid);
    put(116, fmt::format("{:07o}", entry.gid));
    put(124, fmt::format("{:011o}", entry.size != 0 ? entry.size : entry.content.size()));
    put(136, fmt::format("{:011o}", entry.mtime));
    block[156] = entry.type;
    put(157, std::string_view(entry.link).substr(0, 100));
    put(257, std::string_view("ustar\00000", 8));
    put(329, fmt::format("{:07o}", entry.device_major));
    put(337, fmt::format("{:07o}", entry.device_minor));
    seal(block.data());
    bytes_ += block;
  }

  RawTar& add(const Entry& entry) {
    add_header(entry);
    bytes_ += entry.content;
    bytes_.resize((bytes_.size() + 511) / 512 * 512, '\0');
    return *this;
  }

  static std::string record(std::string_view key, std::string_view value) {
    std::size_t length = key.size() + value.size() + 3;
    while (fmt::format("{} {}={}\n", length, key, value).size() != length) ++length;
    return fmt::format("{} {}={}\n", length, key, value);
  }

  RawTar& add_pax(const std::vector<std::pair<std::string, std::string>>& records) {
    std::string text;
    for (const auto& [key, value] : records) text += record(key, value);
    return add({.name = "PaxHeaders.0/x", .type = 'x', .content = text});
  }

  const std::string& bytes() const { return bytes_; }
  std::string end() const { return bytes_ + std::string(1024, '\0'); }

  // After flipping bytes: makes every block that looks like a header pass the checksum again.
  static void fix_checksums(std::string& bytes) {
    for (std::size_t at = 0; at + 512 <= bytes.size(); at += 512)
      if (std::memcmp(&bytes[at + 257], "ustar", 5) == 0) seal(&bytes[at]);
  }

 private:
  static void seal(char* block) {
    std::memset(block + 148, ' ', 8);
    unsigned sum = 0;
    for (int i = 0; i < 512; ++i) sum += static_cast<unsigned char>(block[i]);
    const std::string text = fmt::format("{:06o}", sum);
    std::memcpy(block + 148, text.data(), 6);
    block[154] = '\0';
  }
  std::string bytes_;
};

}  // namespace bryo::storage::test
