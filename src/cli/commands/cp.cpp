#include <fcntl.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <memory>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "cli/archive/tree_extractor.hpp"
#include "cli/archive/tree_writer.hpp"
#include "cli/auth/base64.hpp"
#include "cli/commands/catalogue.hpp"
#include "cli/commands/copy_plan.hpp"
#include "cli/commands/helpers.hpp"
#include "cli/commands/values.hpp"
#include "cli/format/path_text.hpp"
#include "cli/format/units.hpp"

namespace bryo::cli {
namespace {

constexpr Option kRows[] = {
    {"archive", 'a', &kFlag, "", "Keep the owners of files copied into the container"},
    {"follow-link", 'L', &kFlag, "", "Copy what a link in the source path points to"},
    {"quiet", 'q', &kFlag, "", "Do not say how much was copied"},
};

// Bits of Go's os.FileMode, which the daemon sends.
constexpr std::int64_t kGoDirectory = std::int64_t{1} << 31;
constexpr std::int64_t kGoSymlink = std::int64_t{1} << 27;

constexpr int kMaxLinks = 10;

struct PathStat {
  bool is_directory = false;
  bool is_link = false;
  std::string link_target;
};

PathStat parse_stat(std::string_view header) {
  const auto text = decode_base64(header);
  if (!text) fail(ErrorKind::unavailable, "unable to decode the daemon's description of the path");
  const json::Value value = json::parse(*text);
  const std::int64_t mode = number_at(value, "mode");
  return {(mode & kGoDirectory) != 0, (mode & kGoSymlink) != 0, text_at(value, "linkTarget")};
}

std::string archive_target(const std::string& container, const std::string& path) {
  return container_path(container, "/archive") + Query().add("path", path).str();
}

// nullopt when there is nothing at the path; other failures are thrown.
std::optional<PathStat> stat_in_container(Context& context, const std::string& container, const std::string& path) {
  Request request;
  request.method = "HEAD";
  request.target = archive_target(container, path);
  const Answer answer = context.client().send_unchecked(std::move(request));
  if (answer.status() >= 400) return std::nullopt;
  return parse_stat(answer.header("x-docker-container-path-stat"));
}

std::string reason() {
  std::string text = std::strerror(errno);
  text[0] = to_lower(text.substr(0, 1))[0];
  return text;
}

bool is_directory(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

// The place a link at the end of the path leads to: the copy goes there, not over the link.
CopyEnd local_destination(std::string path) {
  struct stat status {};
  for (int links = 0; ::lstat(path.c_str(), &status) == 0; ++links) {
    if (!S_ISLNK(status.st_mode)) return {path, true, S_ISDIR(status.st_mode), {}};
    if (links == kMaxLinks) fail(ErrorKind::invalid_argument, "too many symlinks in {}", path);
    std::array<char, PATH_MAX> target;
    const ssize_t size = ::readlink(path.c_str(), target.data(), target.size());
    if (size < 0) fail_errno("read the link {}", path);
    const std::string_view text(target.data(), static_cast<std::size_t>(size));
    path = text.starts_with('/') ? std::string(text) : join_path(split_last(path).first, text);
  }
  if (errno != ENOENT) fail(ErrorKind::invalid_argument, "lstat {}: {}", path, reason());
  const std::string parent = split_last(path).first;
  if (!is_directory(parent)) fail(ErrorKind::not_found, "invalid output path: directory \"{}\" does not exist", parent);
  return {path, false, false, {}};
}

void report_copied(Context& context, const Arguments& arguments, std::uint64_t bytes, const std::string& where) {
  const bool quiet = arguments.flag("quiet", !context.out.is_terminal());
  if (!quiet) context.err.print("Successfully copied {} to {}\n", human_size(static_cast<double>(bytes), 3), where);
}

// With --follow-link: the target of a link in the container, and the name the user knows it by.
CopyEnd container_source(Context& context, const Arguments& arguments, const std::string& container,
                         const std::string& path) {
  CopyEnd source{path, true, false, {}};
  if (!arguments.flag("follow-link")) return source;
  const auto status = stat_in_container(context, container, path);
  if (!status || !status->is_link) return source;
  source.path = status->link_target.starts_with('/') ? status->link_target
                                                     : join_path(split_last(path).first, status->link_target);
  if (base_name(path) != base_name(source.path)) source.rebase_name = base_name(path);
  return source;
}

int copy_from(Context& context, const Arguments& arguments, const std::string& container, const std::string& path,
              const std::string& local) {
  CopyEnd source = container_source(context, arguments, container, path);
  const std::string destination_path = local == "-" ? local : absolute_keeping_end(local);
  if (local != "-" && !is_directory(split_last(destination_path).first))
    fail(ErrorKind::not_found, "invalid output path: directory \"{}\" does not exist",
         split_last(destination_path).first);
  Answer answer = context.client().get(archive_target(container, source.path));
  std::array<char, 128 << 10> block;
  if (local == "-") {
    while (const std::size_t got = answer.read(block)) write_fully(context.out.fd(), {block.data(), got});
    return 0;
  }
  source.is_directory = parse_stat(answer.header("x-docker-container-path-stat")).is_directory;
  CopyPlan plan = plan_copy(source, local_destination(destination_path));
  // In the archive stands the name of what the path led to.
  if (!source.rebase_name.empty()) plan.base = split_last(source.path).second;
  std::uint64_t received = 0;
  TarReader reader([&](std::span<char> into) {
    const std::size_t got = answer.read(into);
    received += got;
    return got;
  });
  TreeExtractor extractor(plan.directory, plan.base, plan.replacement);
  extractor.extract(reader);
  for (const std::string& name : extractor.skipped())
    context.err.print("WARNING: {} is a device and was not copied\n", printable(name, 4096));
  report_copied(context, arguments, received, local);
  return 0;
}

CopyEnd local_source(const Arguments& arguments, const std::string& path) {
  CopyEnd source{path, true, false, {}};
  // The directory part is resolved; a link at its end is copied as a link, unless it is to be followed.
  if (arguments.flag("follow-link") || asserts_directory(path)) {
    const std::unique_ptr<char, void (*)(void*)> real(::realpath(path.c_str(), nullptr), ::free);
    if (!real) fail(ErrorKind::not_found, "lstat {}: {}", path, reason());
    source.path = real.get();
    if (base_name(path) != "." && base_name(path) != base_name(source.path)) source.rebase_name = base_name(path);
    if (path.ends_with("/.")) source.path += "/.";
  }
  struct stat status {};
  if (::lstat(source.path.c_str(), &status) != 0) fail(ErrorKind::not_found, "lstat {}: {}", path, reason());
  source.is_directory = S_ISDIR(status.st_mode);
  return source;
}

CopyEnd container_destination(Context& context, const std::string& container, const std::string& path) {
  CopyEnd destination{path, false, false, {}};
  auto status = stat_in_container(context, container, path);
  if (status && status->is_link) {
    destination.path = status->link_target.starts_with('/') ? status->link_target
                                                            : join_path(split_last(path).first, status->link_target);
    status = stat_in_container(context, container, destination.path);
  }
  // What cannot be looked at may still be made: the daemon refuses what does not fit.
  destination.exists = status.has_value();
  destination.is_directory = status && status->is_directory;
  return destination;
}

void put_archive(Context& context, const Arguments& arguments, const std::string& container,
                 const std::string& directory, BodySource source) {
  Request request;
  request.method = "PUT";
  request.target = container_path(container, "/archive") + Query()
                                                               .add("noOverwriteDirNonDir", "true")
                                                               .add("path", directory)
                                                               .add_if(arguments.flag("archive"), "copyUIDGID", "true")
                                                               .str();
  request.content_type = "application/x-tar";
  request.source = std::move(source);
  context.client().send(std::move(request)).text();
}

int copy_to(Context& context, const Arguments& arguments, const std::string& local, const std::string& container,
            const std::string& path) {
  const CopyEnd destination = container_destination(context, container, path);
  if (local == "-") {
    if (!destination.is_directory)
      fail(ErrorKind::invalid_argument, "destination \"{}:{}\" must be a directory", container, path);
    put_archive(context, arguments, container, destination.path, [](std::span<char> into) {
      ssize_t got = 0;
      while ((got = ::read(STDIN_FILENO, into.data(), into.size())) < 0)
        if (errno != EINTR) fail_errno("read standard input");
      return static_cast<std::size_t>(got);
    });
    return 0;
  }
  const CopyEnd source = local_source(arguments, absolute_keeping_end(local));
  const CopyPlan plan = plan_copy(source, destination);
  const auto writer = std::make_shared<TreeWriter>(source.path, plan.replacement == "/" ? "." : plan.replacement);
  put_archive(context, arguments, container, plan.directory,
              [writer](std::span<char> into) { return writer->read(into); });
  report_copied(context, arguments, writer->produced(), container + ":" + path);
  return 0;
}

int run_copy(Context& context, const Arguments& arguments) {
  const auto [from_container, from] = split_copy_argument(arguments.words()[0]);
  const auto [to_container, to] = split_copy_argument(arguments.words()[1]);
  if (from.empty()) fail(ErrorKind::invalid_argument, "source can not be empty");
  if (to.empty()) fail(ErrorKind::invalid_argument, "destination can not be empty");
  if (from_container && to_container) fail(ErrorKind::invalid_argument, "copying between containers is not supported");
  if (from_container) return copy_from(context, arguments, *from_container, from, to);
  if (to_container) return copy_to(context, arguments, from, *to_container, to);
  fail(ErrorKind::invalid_argument, "must specify at least one container source");
}

}  // namespace

const Command kCopy = {
    .names = "cp|container cp",
    .usage = "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\tbryo cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
    .summary = "Copy files between a container and this host; - is a tar archive on standard input or output",
    .options = kRows,
    .minimum = 2,
    .maximum = 2,
    .run = run_copy};

}  // namespace bryo::cli
