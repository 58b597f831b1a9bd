// Small value types of Docker's JSON that fields alone cannot describe.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.hpp"

namespace bryo::engine {

// {} : the value type of Docker's sets (ExposedPorts, Volumes).
struct Empty {
  json::Value encode_json() const { return json::Object{}; }
  void decode_json(const json::Value&, const std::string&) {}
  bool operator==(const Empty&) const = default;
};
using StringSet = std::map<std::string, Empty>;

// A list that clients may also send as one string (Go's strslice): Cmd, Entrypoint, CapAdd. null differs from [].
struct Words {
  std::optional<std::vector<std::string>> items;

  bool empty() const { return !items || items->empty(); }
  const std::vector<std::string>& list() const {
    static const std::vector<std::string> none;
    return items ? *items : none;
  }
  json::Value encode_json() const { return json::encode(items); }
  void decode_json(const json::Value& json, const std::string& path) {
    if (json.is_string())
      items = std::vector{json::decode<std::string>(json, path)};
    else
      items = json::decode<std::optional<std::vector<std::string>>>(json, path);
  }
};

using Labels = std::map<std::string, std::string>;

// `?filters=` of list calls: name → accepted values.
using Filters = std::map<std::string, std::vector<std::string>>;

}  // namespace bryo::engine
