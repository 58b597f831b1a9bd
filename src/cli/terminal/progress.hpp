// The progress of pull, push, load and import, as Docker's clients show it: on a terminal one line per layer, kept in
// place with a bar; elsewhere one line for each new state.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "base/json.hpp"
#include "cli/http/client.hpp"
#include "cli/terminal/output.hpp"

namespace bryo::cli {

class ProgressDisplay {
 public:
  ProgressDisplay(Output& out, bool terminal, unsigned columns) : out_(out), terminal_(terminal), columns_(columns) {}
  // Throws Error for a message that carries an error.
  void show(const json::Value& message);

 private:
  void show_layer(const std::string& id, const std::string& text);
  std::string bar(const json::Object& detail) const;

  Output& out_;
  bool terminal_;
  unsigned columns_;
  std::map<std::string, std::size_t> lines_;  // layer → its line, counted from the first
};

// Reads the answer of such a request to its end. `aux` gets the messages that carry an "aux" value; null: ignored.
void show_progress(Answer& answer, Output& out, const std::function<void(const json::Value&)>& aux = nullptr,
                   bool quiet = false);

}  // namespace bryo::cli
