// Plain structs to bytes and back, for both ends of the control socket, which run on one machine: integers in its own
// byte order, lengths as 32 bits. One function describe(archive, struct) names the members for reading and writing.
// Reading checks every length and throws Error{invalid_argument}.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/error.hpp"

namespace bryo::monitor {

class WireWriter {
 public:
  template <typename... Members>
  void operator()(const Members&... members) {
    (put(members), ...);
  }
  const std::string& bytes() const { return bytes_; }
  std::string take() { return std::move(bytes_); }

 private:
  template <typename T>
  void put(const T& value) {
    if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>)
      bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    else
      describe(*this, const_cast<T&>(value));  // describe() only reads here
  }
  void put(const std::string& text) {
    put_size(text.size());
    bytes_ += text;
  }
  void put(const std::vector<std::byte>& blob) {
    put_size(blob.size());
    bytes_.append(reinterpret_cast<const char*>(blob.data()), blob.size());
  }
  template <typename T>
  void put(const std::vector<T>& list) {
    put_size(list.size());
    for (const T& item : list) put(item);
  }
  template <typename T>
  void put(const std::optional<T>& value) {
    put(value.has_value());
    if (value) put(*value);
  }
  void put(const std::map<std::string, std::string>& map) {
    put_size(map.size());
    for (const auto& [key, value] : map) (*this)(key, value);
  }
  void put_size(std::size_t size) { put(static_cast<std::uint32_t>(size)); }

  std::string bytes_;
};

class WireReader {
 public:
  explicit WireReader(std::string_view bytes) : rest_(bytes) {}

  template <typename... Members>
  void operator()(Members&... members) {
    (get(members), ...);
  }
  // Everything was read.
  void finish() const {
    if (!rest_.empty()) fail(ErrorKind::invalid_argument, "control message is {} bytes too long", rest_.size());
  }

 private:
  template <typename T>
  void get(T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      value = take(1).front() != 0;
    } else if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T>) {
      std::memcpy(&value, take(sizeof value).data(), sizeof value);
    } else {
      describe(*this, value);
    }
  }
  void get(std::string& text) { text = take(size(1)); }
  void get(std::vector<std::byte>& blob) {
    const auto bytes = take(size(1));
    const auto* first = reinterpret_cast<const std::byte*>(bytes.data());
    blob.assign(first, first + bytes.size());
  }
  template <typename T>
  void get(std::vector<T>& list) {
    list.resize(size(1));
    for (T& item : list) get(item);
  }
  template <typename T>
  void get(std::optional<T>& value) {
    bool present = false;
    get(present);
    if (present) get(value.emplace());
  }
  void get(std::map<std::string, std::string>& map) {
    for (std::size_t left = size(8); left > 0; --left) {
      std::string key;
      get(key);
      get(map[key]);
    }
  }
  // A count of things that take at least `each` bytes: it cannot promise more than there is.
  std::size_t size(std::size_t each) {
    std::uint32_t count = 0;
    get(count);
    if (count > rest_.size() / each) too_short();
    return count;
  }
  std::string_view take(std::size_t count) {
    if (count > rest_.size()) too_short();
    const auto part = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return part;
  }
  [[noreturn]] static void too_short() { fail(ErrorKind::invalid_argument, "control message is cut short"); }

  std::string_view rest_;
};

template <typename T>
std::string to_wire(const T& value) {
  WireWriter writer;
  writer(value);
  return writer.take();
}

template <typename T>
T from_wire(std::string_view bytes) {
  WireReader reader(bytes);
  T value{};
  reader(value);
  reader.finish();
  return value;
}

}  // namespace bryo::monitor
