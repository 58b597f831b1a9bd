#include "cli/format/template_parser.hpp"

#include <charconv>

#include "base/strings.hpp"
#include "cli/format/template_functions.hpp"
#include "cli/format/template_lexer.hpp"

namespace bryo::cli::tmpl {
namespace {

using K = Token::Kind;

// A hostile or mistaken template must not overflow the stack.
constexpr int kMaxNesting = 100;

class Parser {
 public:
  Parser(std::string_view name, std::string_view source) : tokens_(tokenize(name, source)) {
    tree_.name = name;
    tree_.source = source;
  }

  Tree run() {
    const std::string ended_by = nodes(tree_.nodes, 0);
    if (ended_by == "else") fail_here("unexpected {{else}}");
    if (ended_by == "end") fail_here("unexpected {{end}}");
    return std::move(tree_);
  }

 private:
  // Parses until {{end}}, {{else…}} or the end of the text, and says which: "end", "else" or "".
  std::string nodes(Nodes& out, int loops) {
    if (++depth_ > kMaxNesting) fail_here("too deeply nested");
    std::string ended_by;
    while (ended_by.empty() && peek().kind != K::end) {
      if (peek().kind == K::text) {
        out.push_back({Node::Kind::text, take().text, std::nullopt, {}, {}});
        continue;
      }
      take();  // {{
      skip_space();
      ended_by = action(out, loops);
    }
    --depth_;
    return ended_by;
  }

  std::string action(Nodes& out, int loops) {
    const std::string word = peek().kind == K::word ? peek().text : "";
    if (word == "end") {
      take();
      close("end");
      return "end";
    }
    if (word == "else") {
      take();
      skip_space();
      return "else";
    }
    if (word == "if")
      control(Node::Kind::branch, word, out, loops);
    else if (word == "range")
      control(Node::Kind::loop, word, out, loops + 1);
    else if (word == "with")
      control(Node::Kind::scope, word, out, loops);
    else if (word == "define" || word == "block")
      define(word, out);
    else if (word == "template")
      include(out);
    else if (word == "break" || word == "continue")
      jump(word, out, loops);
    else
      out.push_back({Node::Kind::action, "", pipeline("command"), {}, {}});
    return "";
  }

  void control(Node::Kind kind, const std::string& word, Nodes& out, int loops) {
    take();
    Node node{kind, "", std::nullopt, {}, {}};
    node.pipe = pipeline(word);
    std::string ended_by = nodes(node.body, loops);
    if (ended_by == "else") {
      if (peek().kind == K::word && (peek().text == "if" || peek().text == "with")) {
        // {{else if x}} is {{else}}{{if x}} that shares the {{end}}.
        const std::string inner = peek().text;
        control(inner == "if" ? Node::Kind::branch : Node::Kind::scope, inner, node.otherwise, loops);
        out.push_back(std::move(node));
        return;
      }
      close("else");
      ended_by = nodes(node.otherwise, loops);
    }
    if (ended_by != "end") fail_here(ended_by.empty() ? "unexpected EOF" : "expected end; found {{else}}");
    out.push_back(std::move(node));
  }

  void define(const std::string& word, Nodes& out) {
    take();
    skip_space();
    if (peek().kind != K::string) fail_here("unexpected " + quoted(peek()) + " in " + word + " clause");
    const std::string name = take().text;
    Node node{Node::Kind::include, name, std::nullopt, {}, {}};
    if (word == "block")
      node.pipe = pipeline("block clause");
    else
      close("define clause");
    Nodes body;
    if (nodes(body, 0) != "end") fail_here("unexpected EOF");
    tree_.definitions[name] = std::move(body);
    if (word == "block") out.push_back(std::move(node));
  }

  void include(Nodes& out) {
    take();
    skip_space();
    if (peek().kind != K::string) fail_here("unexpected " + quoted(peek()) + " in template clause");
    Node node{Node::Kind::include, take().text, std::nullopt, {}, {}};
    skip_space();
    if (peek().kind == K::close)
      take();
    else
      node.pipe = pipeline("template clause");
    out.push_back(std::move(node));
  }

  void jump(const std::string& word, Nodes& out, int loops) {
    take();
    if (loops == 0) fail_here("{{" + word + "}} outside {{range}}");
    close(word);
    out.push_back({word == "break" ? Node::Kind::stop : Node::Kind::skip, "", std::nullopt, {}, {}});
  }

  // Up to and including "}}".
  Pipe pipeline(std::string_view context) {
    skip_space();
    Pipe pipe = pipeline_until(K::close, "}}", context);
    return pipe;
  }

  Pipe pipeline_until(K end, std::string_view symbol, std::string_view context) {
    if (++depth_ > kMaxNesting) fail_here("too deeply nested");
    Pipe pipe;
    declarations(pipe, context);
    while (true) {
      skip_space();
      Call call = command();
      if (call.words.empty()) {
        if (pipe.calls.empty() && ends(end, symbol)) fail_here("missing value for " + std::string(context));
        fail_here("unexpected " + quoted(peek()) + " in " + std::string(context));
      }
      pipe.calls.push_back(std::move(call));
      if (peek().kind == K::symbol && peek().text == "|") {
        take();
        continue;
      }
      if (!ends(end, symbol)) fail_here("unexpected " + quoted(peek()) + " in " + std::string(context));
      take();
      --depth_;
      return pipe;
    }
  }

  bool ends(K end, std::string_view symbol) const { return peek().kind == end && peek().text == symbol; }

  // "$x :=", "$i, $x :=" or "$x =".
  void declarations(Pipe& pipe, std::string_view context) {
    const std::size_t start = at_;
    std::vector<std::string> names;
    while (peek().kind == K::variable) {
      names.push_back(take().text);
      skip_space();
      if (peek().kind != K::symbol) break;
      if (peek().text == ":=" || peek().text == "=") {
        pipe.assigns = take().text == "=";
        pipe.variables = std::move(names);
        if (pipe.variables.size() > 1 && context != "range") fail_here("too many declarations in command");
        if (pipe.variables.size() > 2) fail_here("too many declarations in range");
        return;
      }
      if (peek().text != ",") break;
      take();
      skip_space();
    }
    at_ = start;
  }

  Call command() {
    Call call;
    const std::size_t start = peek().position;
    while (true) {
      skip_space();
      const Token& token = peek();
      if (token.kind == K::close || token.kind == K::end) break;
      if (token.kind == K::symbol && token.text != "(") break;
      call.words.push_back(operand());
    }
    const std::string_view source = std::string_view(tree_.source).substr(start, peek().position - start);
    call.source = std::string(trim(source));
    return call;
  }

  Operand operand() {
    const Token token = take();
    Operand operand;
    operand.position = token.position;
    switch (token.kind) {
      case K::dot:
        operand.kind = Operand::Kind::dot;
        break;
      case K::field:
        operand.kind = Operand::Kind::field;
        operand.fields.push_back(token.text);
        break;
      case K::variable:
        operand.kind = Operand::Kind::variable;
        operand.name = token.text;
        break;
      case K::string:
        operand.kind = Operand::Kind::literal;
        operand.literal = json::Value(token.text);
        break;
      case K::character:
        operand.kind = Operand::Kind::literal;
        operand.literal = character(token);
        break;
      case K::number:
        operand.kind = Operand::Kind::literal;
        operand.literal = number(token);
        break;
      case K::word:
        word(token, operand);
        break;
      default:
        if (token.kind != K::symbol || token.text != "(")
          fail_at(token.position, "unexpected " + quoted(token) + " in operand");
        operand.kind = Operand::Kind::chain;
        operand.pipe = std::make_shared<Pipe>(pipeline_until(K::symbol, ")", "parenthesized pipeline"));
    }
    // Go places an error in .A.B at the second name.
    if (peek().kind == K::field) operand.position = peek().position;
    while (peek().kind == K::field) operand.fields.push_back(take().text);
    operand.source = tree_.source.substr(token.position, peek().position - token.position);
    return operand;
  }

  void word(const Token& token, Operand& operand) {
    operand.kind = Operand::Kind::literal;
    if (token.text == "true" || token.text == "false") {
      operand.literal = json::Value(token.text == "true");
    } else if (token.text == "nil") {
      operand.kind = Operand::Kind::nil;
    } else {
      operand.kind = Operand::Kind::function;
      operand.name = token.text;
      if (!is_function(token.text)) fail_at(token.position, "function \"" + token.text + "\" not defined");
    }
  }

  json::Value number(const Token& token) {
    std::string text;
    for (const char c : token.text)
      if (c != '_') text += c;
    if (const auto integer = parse_prefixed(text)) return json::Value(*integer);
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size())
      fail_at(token.position, "bad number syntax: \"" + printable(token.text) + "\"");
    // Go lets 1e3 be an integer constant too.
    if (value == static_cast<double>(static_cast<std::int64_t>(value)) && text.find('.') == std::string::npos)
      return json::Value(static_cast<std::int64_t>(value));
    return json::Value(value);
  }

  static std::optional<std::int64_t> parse_prefixed(std::string_view text) {
    if (text.size() > 1 && text[0] == '+') text.remove_prefix(1);
    if (text.size() > 2 && text[0] == '0') {
      const char kind = text[1];
      const int base = kind == 'x' || kind == 'X' ? 16 : kind == 'b' || kind == 'B' ? 2 : kind == 'o' ? 8 : 0;
      if (base != 0) {
        std::int64_t value = 0;
        const auto [end, error] = std::from_chars(text.data() + 2, text.data() + text.size(), value, base);
        if (error == std::errc() && end == text.data() + text.size()) return value;
        return std::nullopt;
      }
    }
    return parse_integer<std::int64_t>(text);
  }

  json::Value character(const Token& token) {
    const std::string& text = token.text;
    if (text.empty()) fail_at(token.position, "malformed character constant: ''");
    const auto first = static_cast<unsigned char>(text[0]);
    std::int64_t code = first < 0x80 ? first : first < 0xe0 ? first & 0x1f : first < 0xf0 ? first & 0x0f : first & 7;
    for (std::size_t i = 1; i < text.size(); ++i) code = (code << 6) | (static_cast<unsigned char>(text[i]) & 0x3f);
    return json::Value(code);
  }

  void close(std::string_view context) {
    skip_space();
    if (peek().kind != K::close) fail_here("unexpected " + quoted(peek()) + " in " + std::string(context));
    take();
  }

  static std::string quoted(const Token& token) {
    if (token.kind == K::end) return "EOF";
    return "\"" + printable(token.kind == K::field ? "." + token.text : token.text) + "\"";
  }

  void skip_space() {
    while (peek().kind == K::space) ++at_;
  }
  const Token& peek() const { return tokens_[at_]; }
  const Token& take() { return tokens_[at_].kind == K::end ? tokens_[at_] : tokens_[at_++]; }
  [[noreturn]] void fail_here(const std::string& message) { fail_at(peek().position, message); }
  [[noreturn]] void fail_at(std::size_t position, const std::string& message) {
    syntax_error(tree_.name, tree_.source, position, message);
  }

  Tree tree_;
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

Tree parse(std::string_view name, std::string_view source) { return Parser(name, source).run(); }

}  // namespace bryo::cli::tmpl
