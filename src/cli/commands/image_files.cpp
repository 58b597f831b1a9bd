// save, load, import, export, commit: images and file systems as files.
#include <fcntl.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "cli/auth/reference.hpp"
#include "cli/commands/catalogue.hpp"
#include "cli/commands/helpers.hpp"
#include "cli/commands/values.hpp"
#include "cli/format/path_text.hpp"
#include "cli/terminal/progress.hpp"

namespace bryo::cli {
namespace {

constexpr Option kOutputRows[] = {{"output", 'o', &kText, "", "Write to this file instead of standard output"}};
constexpr Option kLoadRows[] = {{"input", 'i', &kText, "", "Read this file instead of standard input"},
                                {"quiet", 'q', &kFlag, "", "Show no progress"}};
constexpr Option kImportRows[] = {{"change", 'c', &kList, "", "Apply a Dockerfile instruction to the image"},
                                  {"message", 'm', &kText, "", "Message for the image's history"},
                                  {"platform", 0, &kText, "", "Platform of the image"}};
constexpr Option kCommitRows[] = {{"author", 'a', &kText, "", "Who made the image"},
                                  {"change", 'c', &kList, "", "Apply a Dockerfile instruction to the image"},
                                  {"message", 'm', &kText, "", "Message for the image's history"},
                                  {"pause", 'p', &kFlag, "", "Pause the container meanwhile", "true"}};

// Beside the target, and renamed to it when it is whole: a failure leaves no half file.
class OutputFile {
 public:
  explicit OutputFile(const std::string& path) : path_(path), temporary_(path + ".XXXXXX") {
    fd_ = UniqueFd(::mkostemp(temporary_.data(), O_CLOEXEC));
    if (!fd_) fail_errno("failed to save: make a file in {}", directory_of(path));
  }
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile() {
    if (!done_) ::unlink(temporary_.c_str());
  }
  int fd() const { return fd_.get(); }
  void finish() {
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail_errno("rename {} to {}", temporary_, path_);
    done_ = true;
  }

 private:
  std::string path_;
  std::string temporary_;
  UniqueFd fd_;
  bool done_ = false;
};

void copy_answer(Answer& answer, int fd) {
  std::array<char, 128 << 10> block;
  while (const std::size_t got = answer.read(block)) write_fully(fd, {block.data(), got});
}

// /dev/null and the like are written directly.
bool is_special(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode);
}

void write_archive(Context& context, const Arguments& arguments, const std::string& target) {
  const std::string path = arguments.text("output");
  if (path.empty()) {
    if (context.out.is_terminal())
      fail(ErrorKind::invalid_argument, "cowardly refusing to save to a terminal. Use the -o flag or redirect");
    Answer answer = context.client().get(target);
    return copy_answer(answer, context.out.fd());
  }
  if (is_special(path)) {
    const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!fd) fail_errno("open {}", path);
    Answer answer = context.client().get(target);
    return copy_answer(answer, fd.get());
  }
  struct stat status {};
  if (::stat(directory_of(path).c_str(), &status) != 0)
    fail(ErrorKind::not_found, "failed to save: invalid output path: directory \"{}\" does not exist",
         directory_of(path));
  Answer answer = context.client().get(target);
  OutputFile file(path);
  copy_answer(answer, file.fd());
  file.finish();
}

int run_save(Context& context, const Arguments& arguments) {
  Query query;
  for (const std::string& name : arguments.words()) query.add("names", name);
  write_archive(context, arguments, "/images/get" + query.str());
  return 0;
}

int run_export(Context& context, const Arguments& arguments) {
  write_archive(context, arguments, container_path(arguments.words()[0], "/export"));
  return 0;
}

std::string lower_reason() {
  std::string reason = std::strerror(errno);
  reason[0] = to_lower(reason.substr(0, 1))[0];
  return reason;
}

// A file, or standard input for "-".
std::shared_ptr<UniqueFd> open_input(const std::string& path) {
  auto fd = std::make_shared<UniqueFd>(path == "-" ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                                                   : ::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!*fd) fail(ErrorKind::not_found, "open {}: {}", path, lower_reason());
  return fd;
}

Request upload(std::string target, const std::string& path) {
  Request request;
  request.method = "POST";
  request.target = std::move(target);
  request.content_type = "application/x-tar";
  request.source = [fd = open_input(path)](std::span<char> into) {
    ssize_t got = 0;
    while ((got = ::read(fd->get(), into.data(), into.size())) < 0)
      if (errno != EINTR) fail_errno("read the archive");
    return static_cast<std::size_t>(got);
  };
  return request;
}

int run_load(Context& context, const Arguments& arguments) {
  const std::string path = arguments.text("input", "-");
  if (path == "-" && ::isatty(STDIN_FILENO) == 1)
    fail(ErrorKind::invalid_argument, "requested load from stdin, but stdin is empty");
  // A terminal sees progress; elsewhere only the names of what was loaded.
  const bool quiet = arguments.flag("quiet") || !context.out.is_terminal();
  Answer answer = context.client().send(upload("/images/load" + Query().add("quiet", quiet ? "1" : "0").str(), path));
  if (answer.header("content-type").starts_with("application/json"))
    show_progress(answer, context.out);
  else
    copy_answer(answer, context.out.fd());
  return 0;
}

void add_reference(const std::string& text, Query& query) {
  if (text.empty()) return;
  const Reference reference = Reference::parse(text);
  if (!reference.digest.empty()) fail(ErrorKind::invalid_argument, "refusing to create a tag with a digest reference");
  query.add("repo", reference.familiar_name()).add_if(!reference.tag.empty(), "tag", reference.tag);
}

int run_import(Context& context, const Arguments& arguments) {
  const auto& words = arguments.words();
  const bool url = words[0].starts_with("http://") || words[0].starts_with("https://");
  Query query;
  query.add("fromSrc", url ? words[0] : "-");
  add_reference(words.size() > 1 ? words[1] : "", query);
  query.add_if(arguments.given("message"), "message", arguments.text("message"));
  for (const std::string& change : arguments.texts("change")) query.add("changes", change);
  query.add_if(arguments.given("platform"), "platform", arguments.text("platform"));
  const std::string target = "/images/create" + query.str();
  Answer answer = url ? context.client().post(target) : context.client().send(upload(target, words[0]));
  show_progress(answer, context.out);
  return 0;
}

int run_commit(Context& context, const Arguments& arguments) {
  const auto& words = arguments.words();
  Query query;
  query.add("container", words[0]);
  add_reference(words.size() > 1 ? words[1] : "", query);
  query.add_if(arguments.given("message"), "comment", arguments.text("message"))
      .add_if(arguments.given("author"), "author", arguments.text("author"))
      .add_if(!arguments.flag("pause", true), "pause", "0");
  for (const std::string& change : arguments.texts("change")) query.add("changes", change);
  const json::Value answer = context.client().post("/commit" + query.str(), json::Object()).json();
  context.out.print("{}\n", text_at(answer, "Id"));
  return 0;
}

}  // namespace

const Command kSave = {.names = "save|image save",
                       .usage = "[OPTIONS] IMAGE [IMAGE...]",
                       .summary = "Write images to a tar archive",
                       .options = kOutputRows,
                       .minimum = 1,
                       .run = run_save};
const Command kExport = {.names = "export|container export",
                         .usage = "[OPTIONS] CONTAINER",
                         .summary = "Write a container's file system to a tar archive",
                         .options = kOutputRows,
                         .minimum = 1,
                         .maximum = 1,
                         .run = run_export};
const Command kLoad = {.names = "load|image load",
                       .usage = "[OPTIONS]",
                       .summary = "Read images from a tar archive",
                       .options = kLoadRows,
                       .maximum = 0,
                       .run = run_load};
const Command kImport = {.names = "import|image import",
                         .usage = "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
                         .summary = "Make an image of a tar archive of a file system",
                         .options = kImportRows,
                         .minimum = 1,
                         .maximum = 2,
                         .run = run_import};
const Command kCommit = {.names = "commit|container commit",
                         .usage = "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
                         .summary = "Make an image of a container's changes",
                         .options = kCommitRows,
                         .minimum = 1,
                         .maximum = 2,
                         .run = run_commit};

}  // namespace bryo::cli
