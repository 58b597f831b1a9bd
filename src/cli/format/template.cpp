#include "cli/format/template.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <deque>
#include <vector>

#include "base/strings.hpp"
#include "cli/format/json_text.hpp"
#include "cli/format/template_functions.hpp"
#include "cli/format/template_parser.hpp"
#include "cli/format/template_print.hpp"

namespace bryo::cli {
namespace {

using json::Value;
using namespace tmpl;

constexpr std::size_t kMaxOutput = 64 << 20;
constexpr std::size_t kMaxSteps = 5'000'000;
constexpr int kMaxIncludes = 50;

// Fields that Docker's types leave out of JSON when empty: asking for them is no error.
constexpr std::array<std::string_view, 19> kOptionalFields = {
    "Health",   "Healthcheck",  "SizeRw",      "SizeRootFs", "StopTimeout", "StopSignal", "Init",
    "Tmpfs",    "Sysctls",      "Annotations", "StorageOpt", "Shell",       "Mounts",     "MacAddress",
    "Warnings", "ExposedPorts", "OnBuild",     "UsageData",  "Status"};

// A value and the field name under which it was found; `value` null for "<no value>".
struct Found {
  const Value* value = nullptr;
  std::string_view name;
};

// The word that failed: Go's messages quote it.
struct Place {
  std::string_view source;
  std::size_t position;
};

enum class Flow { normal, stop, skip };

class Renderer {
 public:
  Renderer(const Tree& tree, const Template::Data& data) : tree_(tree), data_(data) {
    variables_.push_back({"$", {data.root, {}}});
  }

  std::string run() {
    walk(tree_.nodes, {data_.root, {}});
    return std::move(out_);
  }

 private:
  struct Variable {
    std::string name;
    Found value;
  };

  Flow walk(const Nodes& nodes, Found dot) {
    for (const Node& node : nodes) {
      const Flow flow = step(node, dot);
      if (flow != Flow::normal) return flow;
    }
    return Flow::normal;
  }

  Flow step(const Node& node, Found dot) {
    if (++steps_ > kMaxSteps || out_.size() > kMaxOutput)
      fail(ErrorKind::invalid_argument, "template: {}: the output grows too large", tree_.name);
    const std::size_t scope = variables_.size();
    Flow flow = Flow::normal;
    switch (node.kind) {
      case Node::Kind::text:
        out_ += node.text;
        return flow;
      case Node::Kind::action:
        action(*node.pipe, dot);
        return flow;  // keeps the variables it declared
      case Node::Kind::branch:
        flow = walk(truth(pipe(*node.pipe, dot)) ? node.body : node.otherwise, dot);
        break;
      case Node::Kind::scope: {
        const Found value = pipe(*node.pipe, dot);
        flow = truth(value) ? walk(node.body, value) : walk(node.otherwise, dot);
        break;
      }
      case Node::Kind::loop:
        flow = loop(node, dot);
        break;
      case Node::Kind::include:
        include(node, dot);
        break;
      case Node::Kind::stop:
        return Flow::stop;
      case Node::Kind::skip:
        return Flow::skip;
    }
    variables_.resize(scope);
    return flow;
  }

  void action(const Pipe& expression, Found dot) {
    const Found value = pipe(expression, dot);
    if (!expression.variables.empty()) return;
    out_ += value.value == nullptr ? "<no value>" : go_text(*value.value, value.name);
  }

  static bool truth(Found found) { return found.value != nullptr && is_true(*found.value); }

  Flow loop(const Node& node, Found dot) {
    const Found over = evaluate(*node.pipe, dot);
    std::vector<std::pair<const Value*, Found>> items = items_of(over, node);
    if (items.empty()) return walk(node.otherwise, dot);
    const auto& names = node.pipe->variables;
    for (const auto& [key, value] : items) {
      const std::size_t scope = variables_.size();
      if (names.size() == 1) bind(names[0], node.pipe->assigns, value);
      if (names.size() == 2) {
        bind(names[0], node.pipe->assigns, {key, {}});
        bind(names[1], node.pipe->assigns, value);
      }
      const Flow flow = walk(node.body, value);
      variables_.resize(scope);
      if (flow == Flow::stop) break;
    }
    return Flow::normal;
  }

  std::vector<std::pair<const Value*, Found>> items_of(Found over, const Node& node) {
    std::vector<std::pair<const Value*, Found>> items;
    if (over.value == nullptr || over.value->is_null()) return items;
    if (over.value->is_array()) {
      std::int64_t index = 0;
      for (const Value& item : over.value->get_array()) items.push_back({keep(Value(index++)), {&item, {}}});
    } else if (over.value->is_object()) {
      for (const auto& item : over.value->get_object()) items.push_back({keep(Value(item.key())), {&item.value(), {}}});
      // Go visits the keys of a map in sorted order.
      std::sort(items.begin(), items.end(),
                [](const auto& a, const auto& b) { return a.first->get_string() < b.first->get_string(); });
    } else if (over.value->is_int64()) {
      const std::int64_t count = std::min<std::int64_t>(over.value->get_int64(), kMaxSteps);
      for (std::int64_t i = 0; i < count; ++i) {
        const Value* number = keep(Value(i));
        items.push_back({number, {number, {}}});
      }
    } else {
      const Call& call = node.pipe->calls.back();
      complain({call.source, call.words[0].position}, "range can't iterate over " + go_text(*over.value));
    }
    return items;
  }

  void include(const Node& node, Found dot) {
    const auto found = tree_.definitions.find(node.text);
    if (found == tree_.definitions.end())
      fail(ErrorKind::invalid_argument, "template: {}: template \"{}\" not defined", tree_.name, node.text);
    if (++includes_ > kMaxIncludes)
      fail(ErrorKind::invalid_argument, "template: {}: exceeded maximum template depth", tree_.name);
    const Found argument = node.pipe ? pipe(*node.pipe, dot) : Found{};
    std::vector<Variable> outer = std::exchange(variables_, {{"$", argument}});
    walk(found->second, argument);
    variables_ = std::move(outer);
    --includes_;
  }

  // Evaluates and stores into the pipeline's variable, if it has one.
  Found pipe(const Pipe& expression, Found dot) {
    const Found value = evaluate(expression, dot);
    for (const std::string& name : expression.variables) bind(name, expression.assigns, value);
    return value;
  }

  void bind(const std::string& name, bool assigns, Found value) {
    if (assigns) {
      for (auto variable = variables_.rbegin(); variable != variables_.rend(); ++variable)
        if (variable->name == name) {
          variable->value = value;
          return;
        }
      fail(ErrorKind::invalid_argument, "template: {}: undefined variable \"{}\"", tree_.name, name);
    }
    variables_.push_back({name, value});
  }

  Found evaluate(const Pipe& expression, Found dot) {
    std::optional<Found> value;
    for (const Call& call : expression.calls) value = command(call, dot, value);
    return value.value_or(Found{});
  }

  Found command(const Call& call, Found dot, std::optional<Found> piped) {
    const Operand& first = call.words.front();
    const Place place{call.source, first.position};
    if (first.kind == Operand::Kind::function) return function(call, dot, piped);
    const bool has_arguments = call.words.size() > 1 || piped.has_value();
    if (first.kind == Operand::Kind::field && first.fields.size() == 1 && data_.method) {
      std::vector<const Value*> arguments = arguments_of(call, dot, piped);
      if (auto result = data_.method(first.fields[0], arguments)) return {keep(std::move(*result)), {}};
    }
    if (has_arguments) {
      if (first.kind == Operand::Kind::field)
        complain({first.source, first.position}, first.fields.back() + " is not a method but has arguments");
      complain(place, "can't give argument to non-function " + first.source);
    }
    if (first.kind == Operand::Kind::nil) complain(place, "nil is not a command");
    return operand(first, dot);
  }

  std::vector<const Value*> arguments_of(const Call& call, Found dot, std::optional<Found> piped) {
    std::vector<const Value*> arguments;
    for (std::size_t i = 1; i < call.words.size(); ++i) arguments.push_back(solid(operand(call.words[i], dot)));
    if (piped) arguments.push_back(solid(*piped));
    return arguments;
  }

  const Value* solid(Found found) { return found.value != nullptr ? found.value : keep(Value()); }

  Found function(const Call& call, Found dot, std::optional<Found> piped) {
    const Operand& word = call.words.front();
    const Place place{call.source, word.position};
    if (word.name == "and" || word.name == "or") return decide(call, dot, piped);
    const std::vector<const Value*> arguments = arguments_of(call, dot, piped);
    constexpr std::array<std::string_view, 5> plain = {"json", "title", "lower", "upper", "truncate"};
    const bool untouched = data_.heading && std::find(plain.begin(), plain.end(), word.name) != plain.end();
    if (untouched && !arguments.empty()) return {arguments.front(), {}};
    // A row of a list prints itself: its fields in order, escaped for HTML.
    if (word.name == "json" && !data_.type.empty() && arguments.size() == 1 && arguments[0] == data_.root)
      return {keep(Value(compact_json(sorted_by_key(*data_.root), true))), {}};
    try {
      return fields({keep(call_function(word.name, arguments)), {}}, word);
    } catch (const WrongArguments& wrong) {
      complain({word.source, word.position}, wrong.message);
    } catch (const Error& error) {
      complain(place, fmt::format("error calling {}: {}", word.name, error.message()));
    }
  }

  // `and` and `or` stop at the operand that decides.
  Found decide(const Call& call, Found dot, std::optional<Found> piped) {
    const bool stop_at = call.words.front().name == "or";
    if (call.words.size() == 1 && !piped)
      complain({call.words[0].source, call.words[0].position},
               fmt::format("wrong number of args for {}: want at least 1 got 0", call.words[0].name));
    Found value;
    for (std::size_t i = 1; i < call.words.size(); ++i) {
      value = operand(call.words[i], dot);
      if (truth(value) == stop_at) return value;
    }
    return piped ? *piped : value;
  }

  Found operand(const Operand& word, Found dot) {
    switch (word.kind) {
      case Operand::Kind::dot:
        return dot;
      case Operand::Kind::nil:
        return {keep(Value()), {}};
      case Operand::Kind::literal:
        return fields({&word.literal, {}}, word);
      case Operand::Kind::field:
        return fields(dot, word);
      case Operand::Kind::variable:
        return fields(variable(word), word);
      case Operand::Kind::chain:
        return fields(pipe(*word.pipe, dot), word);
      case Operand::Kind::function: {
        Call call;
        call.words.push_back(word);
        call.source = word.source;
        return function(call, dot, std::nullopt);
      }
    }
    return {};
  }

  Found variable(const Operand& word) {
    for (auto variable = variables_.rbegin(); variable != variables_.rend(); ++variable)
      if (variable->name == word.name) return variable->value;
    fail(ErrorKind::invalid_argument, "template: {}:1: undefined variable \"{}\"", tree_.name, word.name);
  }

  Found fields(Found value, const Operand& word) {
    for (std::size_t i = 0; i < word.fields.size(); ++i)
      value = field(value, word.fields[i], i + 1 == word.fields.size(), word);
    return value;
  }

  Found field(Found from, const std::string& name, bool last, const Operand& word) {
    const Place place{word.source, word.position};
    if (from.value == nullptr) complain(place, fmt::format("nil data; no entry for key \"{}\"", name));
    if (!from.value->is_object()) complain(place, fmt::format("can't evaluate field {} in type interface {{}}", name));
    const auto& object = from.value->get_object();
    for (const auto& item : object)
      if (std::string_view(item.key().data(), item.key().size()) == name) return {&item.value(), name};
    for (const auto& item : object)
      if (data_.type.empty() && !is_map_name(from.name) && iequals({item.key().data(), item.key().size()}, name))
        return {&item.value(), name};
    // The zero value of a map of strings.
    if (is_map_name(from.name) && from.name != "Ports") return {};
    if (last && data_.type.empty() &&
        std::find(kOptionalFields.begin(), kOptionalFields.end(), name) != kOptionalFields.end())
      return {keep(Value()), name};
    if (data_.type.empty()) complain(place, fmt::format("map has no entry for key \"{}\"", name));
    complain(place, fmt::format("can't evaluate field {} in type {}", name, data_.type));
  }

  const Value* keep(Value value) { return &kept_.emplace_back(std::move(value)); }

  [[noreturn]] void complain(Place place, const std::string& message) {
    const auto before = std::string_view(tree_.source).substr(0, place.position);
    const auto line = std::count(before.begin(), before.end(), '\n') + 1;
    const auto line_start = before.rfind('\n');
    const std::size_t column = line_start == std::string_view::npos ? place.position : place.position - line_start - 1;
    fail(ErrorKind::invalid_argument, "template: {0}:{1}:{2}: executing \"{0}\" at <{3}>: {4}", tree_.name, line,
         column, place.source, message);
  }

  const Tree& tree_;
  const Template::Data& data_;
  std::string out_;
  std::deque<Value> kept_;
  std::vector<Variable> variables_;
  std::size_t steps_ = 0;
  int includes_ = 0;
};

}  // namespace

Template Template::parse(std::string_view source, std::string_view name) {
  return Template(std::make_shared<const Tree>(tmpl::parse(name, source)));
}

std::string Template::render(const Data& data) const { return Renderer(*tree_, data).run(); }

}  // namespace bryo::cli
