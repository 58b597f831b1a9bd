#include "cli/commands/create_container.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "cli/auth/reference.hpp"
#include "cli/commands/catalogue.hpp"
#include "cli/commands/image_transfer.hpp"
#include "cli/commands/values.hpp"
#include "cli/format/escape.hpp"

namespace bryo::cli {
namespace {

// Made before the container, so that a container never lacks its file; removed again when there is no container.
class IdFile {
 public:
  explicit IdFile(std::string path) : path_(std::move(path)) {
    if (path_.empty()) return;
    fd_ = UniqueFd(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (fd_) return;
    if (errno == EEXIST)
      fail(ErrorKind::conflict, "container ID file found, make sure the other container isn't running or delete {}",
           path_);
    std::string reason = std::strerror(errno);
    reason[0] = to_lower(reason.substr(0, 1))[0];
    fail(ErrorKind::invalid_argument, "failed to create the container ID file: open {}: {}", path_, reason);
  }
  IdFile(const IdFile&) = delete;
  IdFile& operator=(const IdFile&) = delete;
  ~IdFile() {
    if (fd_ && !written_) ::unlink(path_.c_str());
  }
  void write(std::string_view id) {
    if (!fd_) return;
    write_fully(fd_.get(), id);
    written_ = true;
  }

 private:
  std::string path_;
  UniqueFd fd_;
  bool written_ = false;
};

bool is_image_id(std::string_view image) {
  if (image.starts_with("sha256:")) image.remove_prefix(7);
  return image.size() == 64 && image.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

json::Value post_create(Context& context, const CreateRequest& request) {
  Query query;
  query.add_if(!request.name.empty(), "name", request.name);
  query.add_if(!request.platform.empty(), "platform", request.platform);
  return context.client().post("/containers/create" + query.str(), request.body).json();
}

bool image_is_missing(const Error& error) {
  return error.kind() == ErrorKind::not_found && error.message().find("No such image") != std::string::npos;
}

std::string pull_policy(const Arguments& arguments) {
  const std::string policy = arguments.text("pull", "missing");
  if (policy != "always" && policy != "missing" && policy != "never" && !policy.empty())
    fail(ErrorKind::invalid_argument, "invalid pull option: '{}': must be one of \"always\", \"missing\" or \"never\"",
         printable(policy));
  return policy;
}

json::Value create_or_pull(Context& context, const Arguments& arguments, const CreateRequest& request) {
  const std::string policy = pull_policy(arguments);
  if (is_image_id(request.image)) return post_create(context, request);
  Reference reference = Reference::parse(request.image);
  if (reference.name_only()) reference.tag = "latest";
  const bool quiet = arguments.flag("quiet");
  if (policy == "always") pull_image(context, reference, request.platform, false, quiet, context.err);
  try {
    return post_create(context, request);
  } catch (const Error& error) {
    if (!image_is_missing(error) || (policy != "missing" && !policy.empty())) throw;
  }
  if (!quiet) context.err.print("Unable to find image '{}' locally\n", reference.familiar());
  context.err.flush();
  pull_image(context, reference, request.platform, false, quiet, context.err);
  return post_create(context, request);
}

}  // namespace

std::string create_container(Context& context, const Arguments& arguments, const CreateRequest& request) {
  IdFile id_file(arguments.text("cidfile"));
  const json::Value answer = create_or_pull(context, arguments, request);
  for (const std::string& warning : texts_at(answer, "Warnings"))
    context.err.print("WARNING: {}\n", terminal_safe(warning));
  context.err.flush();
  const std::string id = text_at(answer, "Id");
  if (id.empty()) fail(ErrorKind::unavailable, "the daemon created a container but did not say its id");
  id_file.write(id);
  return id;
}

namespace {

int run_create(Context& context, const Arguments& arguments) {
  const CreateRequest request = build_create_request(arguments, false, context.client().minor());
  try {
    context.out.print("{}\n", create_container(context, arguments, request));
  } catch (const Error& error) {
    throw error.with_exit_code(1);  // the options were right: told plainly
  }
  return 0;
}

}  // namespace

const Command kCreate = {.names = "create|container create",
                         .usage = "[OPTIONS] IMAGE [COMMAND] [ARG...]",
                         .summary = "Create a container, but do not start it",
                         .options = kCreateOptions,
                         .minimum = 1,
                         .run = run_create,
                         .interspersed = false,
                         .starts_container = true};

}  // namespace bryo::cli
