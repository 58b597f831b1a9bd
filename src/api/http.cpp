#include "api/http.hpp"

#include "base/strings.hpp"

namespace bryo::api {
namespace {

const std::string kNone;

Reply made(int status, std::string content_type) {
  Reply reply;
  reply.status = status;
  reply.content_type = std::move(content_type);
  return reply;
}

}  // namespace

const std::string* Headers::find(std::string_view name) const {
  for (const auto& [key, value] : items_)
    if (iequals(key, name)) return &value;
  return nullptr;
}

const std::string& Headers::get(std::string_view name) const {
  const std::string* found = find(name);
  return found != nullptr ? *found : kNone;
}

bool Headers::has_token(std::string_view name, std::string_view word) const {
  for (const auto& [key, value] : items_) {
    if (!iequals(key, name)) continue;
    for (const std::string_view piece : split(value, ','))
      if (iequals(trim(piece), word)) return true;
  }
  return false;
}

std::size_t Headers::count(std::string_view name) const {
  std::size_t found = 0;
  for (const auto& item : items_) found += iequals(item.first, name) ? 1 : 0;
  return found;
}

const std::string& Request::parameter(std::string_view name) const {
  for (const auto& [key, value] : parameters)
    if (key == name) return value;
  return kNone;
}

Reply Reply::empty(int status) { return made(status, ""); }

Reply Reply::text(int status, std::string content_type, std::string body) {
  Reply reply = made(status, std::move(content_type));
  reply.body = std::move(body);
  return reply;
}

Reply Reply::json(int status, const json::Value& value) {
  return text(status, "application/json", json::serialize(value) + '\n');
}

Reply Reply::stream(std::string content_type, OnError on_error, Producer producer) {
  Reply reply = made(200, std::move(content_type));
  reply.body = Stream{std::move(producer), on_error};
  return reply;
}

Reply Reply::relay(std::string content_type, UniqueFd fd) {
  Reply reply = made(200, std::move(content_type));
  reply.body = Relay{std::move(fd)};
  return reply;
}

Reply Reply::hijack(std::string content_type, UniqueFd fd, std::string detach_keys) {
  Reply reply = made(200, std::move(content_type));
  reply.body = Hijack{std::move(fd), std::move(detach_keys), {}, {}};
  return reply;
}

Reply Reply::later(std::string content_type, bool headers_first, Begin begin) {
  Reply reply = made(200, std::move(content_type));
  reply.body = Later{std::move(begin), headers_first};
  return reply;
}

std::string output_frame_head(std::size_t size) {
  std::string head(8, '\0');
  head[0] = 1;
  for (std::size_t i = 4; i < 8; ++i) head[i] = static_cast<char>(size >> (8 * (7 - i)));
  return head;
}

}  // namespace bryo::api
