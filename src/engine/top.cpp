// docker top: the host's ps, asked about the container's processes only. The program and its environment are the
// host's, never the container's (CVE-2022-1227).
#include <algorithm>
#include <set>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "engine/process_group.hpp"
#include "engine/streams.hpp"
#include "kernel/program.hpp"

namespace bryo::engine {
namespace {

constexpr std::size_t kMaxOutput = 16U << 20;

std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> out;
  for (const std::string_view word : split(text, ' '))
    if (!word.empty()) out.emplace_back(word);
  return out;
}

// The last column is a command line: it keeps its blanks.
std::vector<std::string> fields_of(std::string_view line, std::size_t columns) {
  std::vector<std::string> out;
  while (out.size() + 1 < columns) {
    line = trim(line);
    const auto end = std::min(line.find(' '), line.size());
    out.emplace_back(line.substr(0, end));
    line.remove_prefix(end);
  }
  out.emplace_back(trim(line));
  return out;
}

}  // namespace

TopResult top(Services& services, const ContainerPtr& container, std::string_view ps_arguments) {
  std::optional<ProcessGroup> group;
  {
    std::lock_guard lock(container->mutex);
    if (!container->is_up()) fail(ErrorKind::conflict, "Container {} is not running", container->record.id);
    group.emplace(services, *container);
  }
  // "e" shows environments of processes; custom headers hide the PID column: both are refused, as in Docker.
  if (ps_arguments.find('=') != std::string_view::npos || ps_arguments.find('\0') != std::string_view::npos)
    fail(ErrorKind::invalid_argument, "specifying \"{}\" is not allowed", printable(ps_arguments));
  std::vector<std::string> command = {"ps"};
  const auto arguments = words_of(ps_arguments.empty() ? std::string_view("-ef") : ps_arguments);
  command.insert(command.end(), arguments.begin(), arguments.end());
  const std::string output = kernel::run_program(command, kMaxOutput);

  TopResult result;
  const auto lines = split(output, '\n');
  result.titles = words_of(lines.front());
  const auto pid_column = std::find(result.titles.begin(), result.titles.end(), "PID");
  if (pid_column == result.titles.end()) fail(ErrorKind::invalid_argument, "Couldn't find PID field in ps output");
  const auto index = static_cast<std::size_t>(pid_column - result.titles.begin());
  std::set<std::string> pids;
  for (const pid_t pid : group->pids()) pids.insert(std::to_string(pid));
  for (std::size_t i = 1; i < lines.size(); ++i) {
    if (trim(lines[i]).empty()) continue;
    auto fields = fields_of(lines[i], result.titles.size());
    if (pids.contains(fields[index])) result.processes.push_back(std::move(fields));
  }
  return result;
}

}  // namespace bryo::engine
