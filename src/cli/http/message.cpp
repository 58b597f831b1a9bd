#include "cli/http/message.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::cli {
namespace {

constexpr std::size_t kMaxChunkLine = 256;
constexpr std::size_t kMaxTrailer = 16 << 10;
constexpr std::uint64_t kMaxChunk = std::uint64_t{1} << 40;

[[noreturn]] void malformed(std::string_view what) {
  fail(ErrorKind::unavailable, "malformed HTTP answer from the daemon: {}", what);
}

int parse_status(std::string_view line) {
  // HTTP/1.1 200 OK
  if (!line.starts_with("HTTP/1.") || line.size() < 12 || line[8] != ' ') malformed("no status line");
  const auto status = parse_integer<unsigned>(line.substr(9, 3));
  if (!status || *status < 100 || *status > 599) malformed("bad status");
  return static_cast<int>(*status);
}

bool has_line_break(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos;
}

}  // namespace

std::string_view Head::header(std::string_view lower_name) const {
  for (const auto& [name, value] : headers)
    if (name == lower_name) return value;
  return {};
}

Head parse_head(std::string_view text) {
  Head head;
  bool first = true;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size() - 1);
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (std::exchange(first, false)) {
      head.status = parse_status(line);
      continue;
    }
    if (line.empty()) break;
    const auto header = split_once(line, ':');
    if (!header || header->first.empty()) malformed("bad header line");
    if (head.headers.size() >= kMaxHeaders) malformed("too many headers");
    head.headers.emplace_back(to_lower(header->first), std::string(trim(header->second)));
  }
  if (first) malformed("empty head");
  return head;
}

std::string head_text(const Request& request, std::string_view authority) {
  if (has_line_break(request.target)) fail(ErrorKind::invalid_argument, "the request path holds a line break");
  std::string out = fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: bryo/" BRYO_VERSION " (linux)\r\n",
                                request.method, request.target, authority);
  for (const auto& [name, value] : request.headers) {
    if (has_line_break(value)) fail(ErrorKind::invalid_argument, "the value of {} holds a line break", name);
    out += fmt::format("{}: {}\r\n", name, value);
  }
  if (!request.content_type.empty()) out += fmt::format("Content-Type: {}\r\n", request.content_type);
  if (request.source)
    out += "Transfer-Encoding: chunked\r\n";
  else if (!request.body.empty() || request.method == "POST" || request.method == "PUT")
    out += fmt::format("Content-Length: {}\r\n", request.body.size());
  if (request.upgrade) out += "Connection: Upgrade\r\nUpgrade: tcp\r\n";
  return out + "\r\n";
}

ChunkDecoder::Step ChunkDecoder::take(std::string_view input, std::size_t limit) {
  switch (state_) {
    case State::size: {
      const auto end = input.find('\n');
      if (end == std::string_view::npos) {
        if (input.size() > kMaxChunkLine) malformed("chunk size line too long");
        return {};
      }
      std::string_view line = trim(input.substr(0, std::min(end, input.find(';'))));
      const auto [last, error] = std::from_chars(line.data(), line.data() + line.size(), left_, 16);
      if (line.empty() || error != std::errc() || last != line.data() + line.size() || left_ > kMaxChunk)
        malformed("bad chunk size");
      state_ = left_ == 0 ? State::trailer : State::data;
      return {end + 1, {}};
    }
    case State::data: {
      const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(left_, std::min(input.size(), limit)));
      left_ -= size;
      if (left_ == 0) state_ = State::data_end;
      return {size, input.substr(0, size)};
    }
    case State::data_end:
      if (input.starts_with("\r\n")) {
        state_ = State::size;
        return {2, {}};
      }
      if (input.size() >= 2) malformed("chunk without end");
      return {};
    case State::trailer: {
      const auto end = input.find('\n');
      if (end == std::string_view::npos && input.size() <= kMaxTrailer) return {};
      trailer_bytes_ += end + 1;
      if (end == std::string_view::npos || trailer_bytes_ > kMaxTrailer) malformed("trailer too long");
      if (trim(input.substr(0, end)).empty()) state_ = State::done;
      return {end + 1, {}};
    }
    case State::done:
      break;
  }
  return {};
}

}  // namespace bryo::cli
