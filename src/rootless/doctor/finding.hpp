// What the doctor says about one prerequisite.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bryo::rootless::doctor {

enum class State {
  ok,
  warning,         // containers run, and something of what they may want does not
  missing,         // containers do not run
  not_applicable,  // this host or this caller has no use for it
};
std::string_view to_string(State state);

struct Finding {
  std::string name;  // "subuid": one word, stable, for scripts
  State state = State::ok;
  std::string detail;
  std::string fix;  // one command to paste; empty when there is nothing to do
};

struct Report {
  std::string subject;  // 'user "penguin" (1001)', "root"
  std::vector<Finding> findings;
  bool can_run() const;
};

// A line or two for each, then the sum.
std::string as_text(const Report& report);
// {"CanRun": true, "Subject": …, "Checks": [{"Name", "State", "Detail", "Fix"}]}
std::string as_json(const Report& report);

}  // namespace bryo::rootless::doctor
