// The syntax tree of a Go text/template (https://pkg.go.dev/text/template), subset: everything but method calls on
// arbitrary values, complex numbers and nested template files. Built by template_parser.cpp, walked by
// template_eval.cpp.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.hpp"

namespace bryo::cli::tmpl {

struct Pipe;

// One word of a command.
struct Operand {
  enum class Kind { dot, nil, literal, field, variable, function, chain };
  Kind kind = Kind::dot;
  json::Value literal;              // Kind::literal
  std::string name;                 // variable or function
  std::vector<std::string> fields;  // .A.B after a dot, a variable or a parenthesis
  std::shared_ptr<Pipe> pipe;       // Kind::chain: the parenthesised pipeline
  std::string source;               // for error messages
  std::size_t position = 0;
};

struct Call {
  std::vector<Operand> words;
  std::string source;
};

struct Pipe {
  std::vector<std::string> variables;  // $x := …, or $i, $x := … in range
  bool assigns = false;                // "=" instead of ":="
  std::vector<Call> calls;
};

struct Node;
using Nodes = std::vector<Node>;

struct Node {
  enum class Kind { text, action, branch, loop, scope, include, stop, skip };
  Kind kind = Kind::text;
  std::string text;  // Kind::text; name for Kind::include
  std::optional<Pipe> pipe;
  Nodes body;
  Nodes otherwise;
};

// A parsed template and the {{define}}s inside it.
struct Tree {
  std::string name;
  std::string source;
  Nodes nodes;
  std::map<std::string, Nodes> definitions;
};

}  // namespace bryo::cli::tmpl
