#include "cli/options/option.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.hpp"

namespace bryo::cli {
namespace {

using json::Object;
using json::Value;
using Shape = ValueKind::Shape;

bool is_flag(const Option& option) { return option.kind == &kFlag; }

// "-m, --memory"
std::string spelling(const Option& option) {
  return option.letter != 0 ? fmt::format("-{}, --{}", option.letter, option.name) : fmt::format("--{}", option.name);
}

void merge(Value& into, Value value, Shape shape) {
  if (shape == Shape::scalar) {
    into = std::move(value);
  } else if (shape == Shape::map) {
    if (!into.is_object()) into = Object();
    for (const auto& item : value.get_object()) into.get_object()[item.key()] = item.value();
  } else {
    if (!into.is_array()) into = json::Array();
    if (value.is_array())
      for (Value& item : value.get_array()) into.get_array().push_back(std::move(item));
    else
      into.get_array().push_back(std::move(value));
  }
}

}  // namespace

class Arguments::Parser {
 public:
  Parser(std::span<const OptionTable> tables, std::span<const std::string> line, bool interspersed)
      : tables_(tables), line_(line), interspersed_(interspersed) {}

  Arguments run() {
    while (at_ < line_.size()) {
      const std::string& word = line_[at_++];
      if (word == "--") {
        out_.words_.insert(out_.words_.end(), line_.begin() + static_cast<std::ptrdiff_t>(at_), line_.end());
        break;
      }
      if (word.starts_with("--")) {
        long_option(word.substr(2));
      } else if (word.size() > 1 && word[0] == '-') {
        letters(word.substr(1));
      } else {
        out_.words_.push_back(word);
        if (interspersed_) continue;
        out_.words_.insert(out_.words_.end(), line_.begin() + static_cast<std::ptrdiff_t>(at_), line_.end());
        break;
      }
      if (out_.help_) break;
    }
    return std::move(out_);
  }

 private:
  void long_option(const std::string& text) {
    const auto parts = split_once(text, '=');
    const std::string name(parts ? parts->first : std::string_view(text));
    if (name.empty() || name[0] == '-') throw UsageError{"bad flag syntax: --" + printable(text)};
    const Option* option = find(name);
    if (option == nullptr) {
      if (name == "help") {
        out_.help_ = true;
        return;
      }
      throw UsageError{"unknown flag: --" + printable(name)};
    }
    if (parts)
      add(*option, std::string(parts->second));
    else if (is_flag(*option))
      add(*option, "true");
    else if (at_ < line_.size())
      add(*option, line_[at_++]);
    else
      throw UsageError{"flag needs an argument: --" + printable(name)};
  }

  // -abc, -n5, -n=5
  void letters(std::string_view text) {
    const std::string all(text);
    while (!text.empty()) {
      const char letter = text[0];
      const Option* option = find({}, letter);
      const std::string shown = printable(text);
      if (option == nullptr) {
        if (letter == 'h') {
          out_.help_ = true;
          return;
        }
        throw UsageError{fmt::format("unknown shorthand flag: '{}' in -{}", printable(text.substr(0, 1)), shown)};
      }
      text.remove_prefix(1);
      const bool equals = text.starts_with('=');
      if (equals) {
        add(*option, std::string(text.substr(1)));
        return;
      }
      if (is_flag(*option)) {
        add(*option, "true");
        continue;
      }
      if (!text.empty())
        add(*option, std::string(text));
      else if (at_ < line_.size())
        add(*option, line_[at_++]);
      else
        throw UsageError{fmt::format("flag needs an argument: '{}' in -{}", letter, shown)};
      return;
    }
  }

  // By long name, or by letter when that is not 0.
  const Option* find(std::string_view name, char letter = 0) const {
    for (const OptionTable table : tables_)
      for (const Option& row : table)
        if (letter != 0 ? row.letter == letter : row.name == name)
          return row.same_as.empty() ? &row : find(row.same_as);
    return nullptr;
  }

  void add(const Option& option, std::string text) {
    if (!option.kind->late) {
      try {
        option.kind->convert(text);
      } catch (const Error& error) {
        throw UsageError{fmt::format("invalid argument \"{}\" for \"{}\" flag: {}", printable(text), spelling(option),
                                     error.message())};
      }
    }
    out_.given_.push_back({&option, std::move(text)});
  }

  std::span<const OptionTable> tables_;
  std::span<const std::string> line_;
  bool interspersed_;
  std::size_t at_ = 0;
  Arguments out_;
};

Arguments Arguments::parse(std::span<const OptionTable> tables, std::span<const std::string> line, bool interspersed) {
  return Parser(tables, line, interspersed).run();
}

bool Arguments::given(std::string_view name) const {
  return std::any_of(given_.begin(), given_.end(), [&](const Given& item) { return item.option->name == name; });
}

std::string Arguments::text(std::string_view name, std::string_view otherwise) const {
  for (auto item = given_.rbegin(); item != given_.rend(); ++item)
    if (item->option->name == name) return item->text;
  return std::string(otherwise);
}

bool Arguments::flag(std::string_view name, bool otherwise) const {
  return given(name) ? kFlag.convert(text(name)).get_bool() : otherwise;
}

std::optional<std::int64_t> Arguments::number(std::string_view name) const {
  std::optional<std::int64_t> out;
  for (const Given& item : given_)
    if (item.option->name == name) out = item.option->kind->convert(item.text).to_number<std::int64_t>();
  return out;
}

std::vector<std::string> Arguments::texts(std::string_view name) const {
  std::vector<std::string> out;
  for (const Given& item : given_)
    if (item.option->name == name) out.push_back(item.text);
  return out;
}

std::vector<Value> Arguments::values(std::string_view name) const {
  std::vector<Value> out;
  for (const Given& item : given_)
    if (item.option->name == name) out.push_back(item.option->kind->convert(item.text));
  return out;
}

Object Arguments::filters(std::string_view name) const {
  Object out;
  for (const Value& pair : values(name))
    for (const auto& item : pair.get_object()) {
      Value& accepted = out[item.key()];
      if (!accepted.is_object()) accepted = Object();
      accepted.get_object()[item.value().get_string()] = true;
    }
  return out;
}

void Arguments::fill(Object& body) const {
  for (const Given& item : given_)
    if (!item.option->target.empty())
      merge(at_path(body, item.option->target), item.option->kind->convert(item.text), item.option->kind->shape);
}

Value& at_path(Object& body, std::string_view dotted) {
  Object* object = &body;
  while (const auto parts = split_once(dotted, '.')) {
    Value& next = (*object)[boost::json::string_view(parts->first.data(), parts->first.size())];
    if (!next.is_object()) next = Object();
    object = &next.get_object();
    dotted = parts->second;
  }
  return (*object)[boost::json::string_view(dotted.data(), dotted.size())];
}

std::string describe_options(std::span<const OptionTable> tables) {
  struct Line {
    std::string left;
    std::string right;
    std::string_view name;
  };
  std::vector<Line> lines;
  for (const OptionTable table : tables)
    for (const Option& row : table) {
      if (row.help.empty()) continue;
      std::string left =
          row.letter != 0 ? fmt::format("  -{}, --{}", row.letter, row.name) : fmt::format("      --{}", row.name);
      if (!is_flag(row)) left += fmt::format(" {}", row.kind->type);
      std::string right(row.help);
      if (!row.default_value.empty()) right += fmt::format(" (default {})", row.default_value);
      lines.push_back({std::move(left), std::move(right), row.name});
    }
  std::sort(lines.begin(), lines.end(), [](const Line& a, const Line& b) { return a.name < b.name; });
  std::size_t width = 0;
  for (const Line& line : lines) width = std::max(width, line.left.size());
  std::string out;
  for (const Line& line : lines) out += fmt::format("{:<{}}   {}\n", line.left, width, line.right);
  return out;
}

}  // namespace bryo::cli
