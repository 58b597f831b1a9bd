#include "api/handler_tools.hpp"

#include <array>
#include <mutex>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::api {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// Both alphabets: clients send X-Registry-Auth in either.
int base64_digit(char c) {
  if (c == '-') return 62;
  if (c == '_') return 63;
  const std::size_t at = kAlphabet.find(c);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

bool is_byte_count(const json::Value& line) {
  const auto* object = line.if_object();
  const auto* detail = object != nullptr ? object->if_contains("progressDetail") : nullptr;
  const auto* fields = detail != nullptr ? detail->if_object() : nullptr;
  return fields != nullptr && fields->contains("current");
}

}  // namespace

json::Value read_json(const Request& request) {
  if (request.body.empty()) return nullptr;
  const std::string& type = request.headers.get("Content-Type");
  const std::string_view bare = trim(std::string_view(type).substr(0, type.find(';')));
  if (!bare.empty() && !iequals(bare, "application/json"))
    fail(ErrorKind::invalid_argument, "Content-Type specified ({}) must be 'application/json'", printable(type));
  return json::parse(request.body);
}

std::optional<std::string> decode_base64(std::string_view text) {
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string out;
  unsigned bits = 0;
  int held = 0;
  for (const char c : text) {
    const int digit = base64_digit(c);
    if (digit < 0) return std::nullopt;
    bits = (bits << 6 | static_cast<unsigned>(digit)) & 0xffffff;
    held += 6;
    if (held < 8) continue;
    held -= 8;
    out += static_cast<char>(bits >> held & 0xff);
  }
  return out;
}

std::string encode_base64(std::string_view bytes) {
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    unsigned bits = 0;
    for (std::size_t k = 0; k < 3; ++k) bits = bits << 8 | (k < count ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    for (std::size_t k = 0; k < 4; ++k) out += k <= count ? kAlphabet[bits >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

json::Value registry_auth(const Request& request) {
  const std::string& header = request.headers.get("X-Registry-Auth");
  if (header.empty()) return nullptr;
  const auto text = decode_base64(header);
  if (!text) fail(ErrorKind::invalid_argument, "invalid X-Registry-Auth header: it is not base64");
  if (text->empty()) return nullptr;
  try {
    return json::parse(*text);
  } catch (const Error&) {
    // The parser's own message could quote the password.
    fail(ErrorKind::invalid_argument, "invalid X-Registry-Auth header: it is not JSON");
  }
}

std::string stream_type(const Request& request, bool tty) {
  return !tty && !request.older_than(42) ? "application/vnd.docker.multiplexed-stream"
                                         : "application/vnd.docker.raw-stream";
}

std::function<void(const json::Value&)> progress_lines(BodyWriter& out) {
  const auto mutex = std::make_shared<std::mutex>();  // two layers may speak at once
  return [&out, mutex](const json::Value& line) {
    if (out.gone() || (is_byte_count(line) && out.backlogged())) return;
    const std::string text = json::serialize(line) + "\r\n";
    const std::lock_guard lock(*mutex);
    try {
      out.write(text);
    } catch (const Error&) {
      // The client has gone; the engine finds out between steps.
    }
  };
}

const std::string& required(const Request& request, std::string_view name) {
  const std::string& value = request.query.get(name);
  if (value.empty()) fail(ErrorKind::invalid_argument, "bad parameter: {} cannot be empty", name);
  return value;
}

unsigned required_size(const Request& request, std::string_view name) {
  const auto value = request.query.integer(name, 0, 65535);
  if (!value) fail(ErrorKind::invalid_argument, "bad parameter: {} must be a number", name);
  return static_cast<unsigned>(*value);
}

}  // namespace bryo::api
