#include "rootless/doctor/finding.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/json.hpp"

namespace bryo::rootless::doctor {
namespace {

std::ptrdiff_t count(const Report& report, State state) {
  return std::count_if(report.findings.begin(), report.findings.end(),
                       [&](const Finding& finding) { return finding.state == state; });
}

std::string plural(std::ptrdiff_t number, std::string_view one) {
  return fmt::format("{} {}{}", number, one, number == 1 ? "" : "s");
}

}  // namespace

std::string_view to_string(State state) {
  switch (state) {
    case State::ok:
      return "ok";
    case State::warning:
      return "warning";
    case State::missing:
      return "missing";
    case State::not_applicable:
      return "not applicable";
  }
  return "";
}

bool Report::can_run() const { return count(*this, State::missing) == 0; }

std::string as_text(const Report& report) {
  std::size_t width = 0;
  for (const Finding& finding : report.findings) width = std::max(width, finding.name.size());
  std::string out;
  for (const Finding& finding : report.findings) {
    out += fmt::format("{:<14}  {:<{}}  {}\n", to_string(finding.state), finding.name, width, finding.detail);
    if (!finding.fix.empty()) out += fmt::format("{:<14}  {:<{}}    fix: {}\n", "", "", width, finding.fix);
  }
  const auto missing = count(report, State::missing);
  const std::string warnings = plural(count(report, State::warning), "warning");
  if (missing == 0) return out + fmt::format("\nContainers can run here for {}: {}.\n", report.subject, warnings);
  return out + fmt::format("\nContainers cannot run here for {}: {} missing, {}.\n", report.subject,
                           plural(missing, "prerequisite"), warnings);
}

std::string as_json(const Report& report) {
  json::Array checks;
  for (const Finding& finding : report.findings)
    checks.push_back(json::Object{{"Name", finding.name},
                                  {"State", std::string(to_string(finding.state))},
                                  {"Detail", finding.detail},
                                  {"Fix", finding.fix}});
  return json::pretty(
             json::Object{{"CanRun", report.can_run()}, {"Subject", report.subject}, {"Checks", std::move(checks)}}) +
         "\n";
}

}  // namespace bryo::rootless::doctor
