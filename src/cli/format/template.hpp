// --format: a Go text/template over JSON. Parse once, render for every row.
//
// Fields are looked up in JSON objects: exactly, or else without regard to case, because Docker's templates name Go's
// struct fields (.ID, .NanoCPUs) while JSON has its own spelling (Id, NanoCpus). Errors are Error{invalid_argument} in
// Go's words, so that scripts which match them keep working.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/json.hpp"

namespace bryo::cli {

namespace tmpl {
struct Tree;
}

class Template {
 public:
  // What a row can do besides having fields: {{.Label "x"}}. nullopt: no such method.
  using Method = std::function<std::optional<json::Value>(std::string_view name, std::span<const json::Value* const>)>;

  struct Data {
    const json::Value* root = nullptr;
    // Name of the Go type in "can't evaluate field X in type T"; empty: a map, "map has no entry for key".
    std::string type;
    Method method;
    // Rendering a table's heading: upper, title, json … leave their operand alone.
    bool heading = false;
  };

  static Template parse(std::string_view source, std::string_view name = "");
  std::string render(const Data& data) const;

 private:
  explicit Template(std::shared_ptr<const tmpl::Tree> tree) : tree_(std::move(tree)) {}
  std::shared_ptr<const tmpl::Tree> tree_;
};

}  // namespace bryo::cli
