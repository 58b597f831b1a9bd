#include "monitor/log_format.hpp"

#include <time.h>

#include <algorithm>
#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace bryo::monitor {
namespace {

using Byte = unsigned char;
constexpr char kHex[] = "0123456789abcdef";

char* append(char* out, std::string_view text) {
  std::memcpy(out, text.data(), text.size());
  return out + text.size();
}

constexpr bool is_plain(Byte byte) {
  return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\' && byte != '<' && byte != '>' && byte != '&';
}

// How many bytes at the front need no escape.
std::size_t plain_length(const char* text, std::size_t size) {
  std::size_t at = 0;
#ifdef __SSE2__
  for (; at + 16 <= size; at += 16) {
    const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text + at));
    // Signed comparison: everything from 0x80 on is negative, so "less than a blank" finds control bytes and UTF-8.
    __m128i special = _mm_cmplt_epi8(block, _mm_set1_epi8(0x20));
    for (const char c : {'"', '\\', '<', '>', '&'})
      special = _mm_or_si128(special, _mm_cmpeq_epi8(block, _mm_set1_epi8(c)));
    if (const int mask = _mm_movemask_epi8(special); mask != 0)
      return at + static_cast<std::size_t>(__builtin_ctz(static_cast<unsigned>(mask)));
  }
#endif
  while (at < size && is_plain(static_cast<Byte>(text[at]))) ++at;
  return at;
}

bool continues(Byte byte) { return (byte & 0xc0) == 0x80; }

// Length of the character by its first byte, 0 when none begins so (also for the overlong C0 and C1).
std::size_t announced_length(Byte first) {
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return 2;
  if (first >= 0xe0 && first <= 0xef) return 3;
  if (first >= 0xf0 && first <= 0xf4) return 4;
  return 0;
}

// The second byte is restricted after E0, ED, F0 and F4: overlong forms, surrogates, beyond U+10FFFF.
bool second_fits(Byte first, Byte second) {
  if (!continues(second)) return false;
  if (first == 0xe0) return second >= 0xa0;
  if (first == 0xed) return second <= 0x9f;
  if (first == 0xf0) return second >= 0x90;
  if (first == 0xf4) return second <= 0x8f;
  return true;
}

// Bytes of the character at the front, 0 when it is not valid UTF-8.
std::size_t character_length(const char* text, std::size_t size) {
  const auto first = static_cast<Byte>(text[0]);
  const std::size_t length = announced_length(first);
  if (length == 0 || length > size) return 0;
  if (length > 1 && !second_fits(first, static_cast<Byte>(text[1]))) return 0;
  for (std::size_t i = 2; i < length; ++i)
    if (!continues(static_cast<Byte>(text[i]))) return 0;
  return length;
}

char* escape_control(char* out, Byte byte) {
  if (byte == '"' || byte == '\\') {
    *out++ = '\\';
    *out++ = static_cast<char>(byte);
    return out;
  }
  if (byte == '\n') return append(out, "\\n");
  if (byte == '\r') return append(out, "\\r");
  out = append(out, "\\u00");
  *out++ = kHex[byte >> 4];
  *out++ = kHex[byte & 15];
  return out;
}

// One character that is not plain; moves `at` behind it.
char* escape_one(char* out, std::string_view text, std::size_t& at) {
  const auto byte = static_cast<Byte>(text[at]);
  if (byte < 0x80) {
    ++at;
    return is_plain(byte) ? (*out = static_cast<char>(byte), out + 1) : escape_control(out, byte);
  }
  const std::size_t length = character_length(text.data() + at, text.size() - at);
  if (length == 0) {
    ++at;
    return append(out, "\\ufffd");
  }
  const auto character = text.substr(at, length);
  at += length;
  if (character == "\u2028") return append(out, "\\u2028");
  if (character == "\u2029") return append(out, "\\u2029");
  return append(out, character);
}

char* append_two(char* out, int value) {
  *out++ = static_cast<char>('0' + value / 10);
  *out++ = static_cast<char>('0' + value % 10);
  return out;
}

}  // namespace

char* escape_log_text(char* out, std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t plain = plain_length(text.data() + at, text.size() - at);
    std::memcpy(out, text.data() + at, plain);
    out += plain;
    at += plain;
    if (at < text.size()) out = escape_one(out, text, at);
  }
  return out;
}

std::size_t cut_line(std::string_view line, std::size_t limit) {
  if (line.size() <= limit) return line.size();
  // The last byte that begins a character, at most three back; whole characters stay, broken ones are cut anywhere.
  for (std::size_t back = 1; back <= 3 && back < limit; ++back) {
    const std::size_t start = limit - back;
    if (continues(static_cast<Byte>(line[start]))) continue;
    const std::size_t length = character_length(line.data() + start, line.size() - start);
    return length > back ? start : limit;
  }
  return limit;
}

LogTime LogTime::now() {
  timespec time{};
  ::clock_gettime(CLOCK_REALTIME, &time);
  return from_nanoseconds(static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec);
}

LogTime LogTime::from_nanoseconds(std::int64_t since_epoch) {
  LogTime made;
  const auto seconds = static_cast<time_t>(since_epoch / 1'000'000'000);
  auto nanoseconds = static_cast<std::uint32_t>(since_epoch % 1'000'000'000);
  tm civil{};
  ::gmtime_r(&seconds, &civil);
  char* out = made.text_;
  out = append_two(out, (civil.tm_year + 1900) / 100);
  out = append_two(out, (civil.tm_year + 1900) % 100);
  *out++ = '-';
  out = append_two(out, civil.tm_mon + 1);
  *out++ = '-';
  out = append_two(out, civil.tm_mday);
  *out++ = 'T';
  out = append_two(out, civil.tm_hour);
  *out++ = ':';
  out = append_two(out, civil.tm_min);
  *out++ = ':';
  out = append_two(out, civil.tm_sec);
  if (nanoseconds != 0) {
    *out++ = '.';
    for (std::uint32_t unit = 100'000'000; unit != 0 && nanoseconds != 0; unit /= 10) {
      *out++ = static_cast<char>('0' + nanoseconds / unit);
      nanoseconds %= unit;
    }
  }
  *out++ = 'Z';
  made.size_ = static_cast<std::uint8_t>(out - made.text_);
  return made;
}

char* format_log_line(char* out, std::string_view text, bool newline, std::string_view stream,
                      std::string_view attributes, const LogTime& time) {
  out = append(out, "{\"log\":\"");
  out = escape_log_text(out, text);
  if (newline) out = append(out, "\\n");
  out = append(out, "\",\"stream\":\"");
  out = append(out, stream);
  if (!attributes.empty()) {
    out = append(out, "\",\"attrs\":");
    out = append(out, attributes);
    out = append(out, ",\"time\":\"");
  } else {
    out = append(out, "\",\"time\":\"");
  }
  out = append(out, time.text());
  return append(out, "\"}\n");
}

}  // namespace bryo::monitor
