#include "cli/commands/copy_plan.hpp"

#include "base/error.hpp"
#include "base/strings.hpp"
#include "cli/format/path_text.hpp"

namespace bryo::cli {
namespace {

// The last element is a dot: the contents are meant, not the directory.
bool names_contents(std::string_view path) { return path == "." || path.ends_with("/."); }

}  // namespace

bool asserts_directory(std::string_view path) { return path.ends_with('/') || names_contents(path); }

std::pair<std::string, std::string> split_last(std::string_view path) {
  const std::string cleaned = clean_path(path);
  if (names_contents(path)) return {cleaned, "."};
  return {directory_of(cleaned), base_name(cleaned)};
}

std::string absolute_keeping_end(std::string_view path) {
  std::string out = absolute_path(path);
  if (names_contents(path) && !out.ends_with("/.")) return out == "/" ? "/." : out + "/.";
  if (path.ends_with('/') && !out.ends_with('/')) return out + "/";
  return out;
}

std::pair<std::optional<std::string>, std::string> split_copy_argument(const std::string& argument) {
  if (argument.starts_with('/')) return {std::nullopt, argument};
  const auto parts = split_once(argument, ':');
  if (!parts || parts->first.starts_with('.')) return {std::nullopt, argument};
  return {std::string(parts->first), std::string(parts->second)};
}

CopyPlan plan_copy(const CopyEnd& source, const CopyEnd& destination) {
  const std::string base = source.rebase_name.empty() ? split_last(source.path).second : source.rebase_name;
  // Into a directory that exists, under the source's own name.
  if (destination.exists && destination.is_directory) return {destination.path, base, base};
  if (destination.exists && source.is_directory) fail(ErrorKind::invalid_argument, "cannot copy directory");
  // A file over a file, or something new: under the destination's name, in its parent.
  if (!destination.exists && !source.is_directory && asserts_directory(destination.path))
    fail(ErrorKind::invalid_argument, "no such directory");
  const auto [directory, name] = split_last(destination.path);
  return {directory, base, name};
}

}  // namespace bryo::cli
