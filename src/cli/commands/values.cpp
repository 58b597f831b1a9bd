#include "cli/commands/values.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ctime>

#include "base/strings.hpp"
#include "base/time.hpp"

namespace bryo::cli {

const json::Value* find_at(const json::Value& value, std::string_view dotted) {
  const json::Value* at = &value;
  if (dotted.empty()) return at;
  for (const std::string_view step : split(dotted, '.')) {
    const json::Object* object = at->if_object();
    if (object == nullptr) return nullptr;
    at = json::detail::find(*object, step);
    if (at == nullptr) return nullptr;
  }
  return at;
}

std::string text_at(const json::Value& value, std::string_view dotted) {
  const json::Value* found = find_at(value, dotted);
  if (found == nullptr || !found->is_string()) return {};
  return std::string(found->get_string().data(), found->get_string().size());
}

double real_at(const json::Value& value, std::string_view dotted) {
  const json::Value* found = find_at(value, dotted);
  return found != nullptr && found->is_number() ? found->to_number<double>() : 0;
}

std::int64_t number_at(const json::Value& value, std::string_view dotted) {
  const json::Value* found = find_at(value, dotted);
  if (found == nullptr || !found->is_number()) return 0;
  if (found->is_int64()) return found->get_int64();
  const double number = found->to_number<double>();
  return number > 9.2e18 ? INT64_MAX : number < -9.2e18 ? INT64_MIN : static_cast<std::int64_t>(number);
}

bool flag_at(const json::Value& value, std::string_view dotted) {
  const json::Value* found = find_at(value, dotted);
  return found != nullptr && found->is_bool() && found->get_bool();
}

const json::Array& array_at(const json::Value& value, std::string_view dotted) {
  static const json::Array kNone;
  const json::Value* found = find_at(value, dotted);
  return found != nullptr && found->is_array() ? found->get_array() : kNone;
}

const json::Object& object_at(const json::Value& value, std::string_view dotted) {
  static const json::Object kNone;
  const json::Value* found = find_at(value, dotted);
  return found != nullptr && found->is_object() ? found->get_object() : kNone;
}

std::vector<std::string> texts_at(const json::Value& value, std::string_view dotted) {
  std::vector<std::string> out;
  for (const json::Value& item : array_at(value, dotted))
    if (item.is_string()) out.emplace_back(item.get_string().data(), item.get_string().size());
  return out;
}

std::string short_id(std::string_view id) {
  if (id.starts_with("sha256:")) id.remove_prefix(7);
  return std::string(id.substr(0, 12));
}

std::string join_labels(const json::Object& labels) {
  std::vector<std::string> pairs;
  for (const auto& item : labels)
    pairs.push_back(fmt::format("{}={}", std::string_view(item.key().data(), item.key().size()),
                                item.value().is_string() ? item.value().get_string().c_str() : ""));
  std::sort(pairs.begin(), pairs.end());
  return join(pairs, ",");
}

std::string local_time(std::int64_t unix_seconds) {
  const auto stamp = static_cast<std::time_t>(unix_seconds);
  std::tm tm{};
  ::localtime_r(&stamp, &tm);
  std::array<char, 64> text{};
  const std::size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S %z %Z", &tm);
  return std::string(text.data(), size);
}

std::int64_t unix_time(std::string_view rfc3339) {
  if (rfc3339.starts_with("0001-01-01")) return 0;
  const auto time = parse_rfc3339(rfc3339);
  return time ? std::chrono::floor<std::chrono::seconds>(*time).time_since_epoch().count() : 0;
}

std::int64_t unix_now() { return std::chrono::floor<std::chrono::seconds>(wall_now()).time_since_epoch().count(); }

}  // namespace bryo::cli
