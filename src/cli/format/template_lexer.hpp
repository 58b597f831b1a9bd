// Splits the text of a template into literal text and the tokens of its actions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bryo::cli::tmpl {

struct Token {
  enum class Kind {
    text,
    open,      // {{
    close,     // }}
    word,      // identifier or keyword
    field,     // .Name
    dot,       // .
    variable,  // $ or $name
    number,
    character,  // 'c', value in `text`
    string,     // quoted or raw, unescaped in `text`
    symbol,     // | ( ) , = :=
    space,
    end,
  };
  Kind kind = Kind::end;
  std::string text;
  std::size_t position = 0;
};

// Throws Error{invalid_argument}: "template: NAME:LINE: unclosed action".
std::vector<Token> tokenize(std::string_view name, std::string_view source);

// "template: NAME:LINE: message".
[[noreturn]] void syntax_error(std::string_view name, std::string_view source, std::size_t position,
                               std::string_view message);

}  // namespace bryo::cli::tmpl
