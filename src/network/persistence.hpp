// Where networks are kept: the engine implements it over its database. Called under the manager's lock, from any
// thread; put and erase are durable when they return, and throw Error when they cannot be.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.hpp"

namespace bryo::network {

class Persistence {
 public:
  virtual ~Persistence() = default;
  virtual void put(std::string_view key, const json::Value& document) = 0;
  virtual void erase(std::string_view key) = 0;
  virtual std::vector<std::pair<std::string, json::Value>> list() = 0;
};

}  // namespace bryo::network
