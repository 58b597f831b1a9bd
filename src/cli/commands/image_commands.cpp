// pull, push, tag, rmi, history.
#include <fmt/format.h>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "cli/commands/catalogue.hpp"
#include "cli/commands/helpers.hpp"
#include "cli/commands/image_transfer.hpp"
#include "cli/commands/values.hpp"
#include "cli/format/escape.hpp"
#include "cli/terminal/progress.hpp"

namespace bryo::cli {
namespace {

constexpr Option kPullRows[] = {
    {"all-tags", 'a', &kFlag, "", "Pull every tag of the repository"},
    {"disable-content-trust", 0, &kFlag, "", "Accepted for compatibility; content trust is not used", "true"},
    {"platform", 0, &kText, "", "Platform of the image"},
    {"quiet", 'q', &kFlag, "", "Show no progress"},
};
constexpr Option kPushRows[] = {
    {"all-tags", 'a', &kFlag, "", "Push every tag of the repository"},
    {"disable-content-trust", 0, &kFlag, "", "Accepted for compatibility; content trust is not used", "true"},
    {"quiet", 'q', &kFlag, "", "Show no progress"},
};
constexpr Option kRemoveRows[] = {
    {"force", 'f', &kFlag, "", "Remove it although it is used or has several names"},
    {"no-prune", 0, &kFlag, "", "Keep untagged parents"},
};

int run_pull(Context& context, const Arguments& arguments) {
  Reference reference = Reference::parse(arguments.words()[0]);
  const bool all = arguments.flag("all-tags");
  const bool quiet = arguments.flag("quiet");
  if (all && !reference.name_only()) fail(ErrorKind::invalid_argument, "tag can't be used with --all-tags/-a");
  if (!all && reference.name_only()) {
    reference.tag = "latest";
    if (!quiet) context.out.print("Using default tag: latest\n");
  }
  pull_image(context, reference, arguments.text("platform"), all, quiet, context.out);
  context.out.print("{}\n", reference.str());
  return 0;
}

int run_push(Context& context, const Arguments& arguments) {
  Reference reference = Reference::parse(arguments.words()[0]);
  const bool all = arguments.flag("all-tags");
  const bool quiet = arguments.flag("quiet");
  if (all && !reference.name_only()) fail(ErrorKind::invalid_argument, "tag can't be used with --all-tags/-a");
  if (!reference.digest.empty()) fail(ErrorKind::invalid_argument, "cannot push a digest reference");
  if (!all && reference.name_only()) {
    reference.tag = "latest";
    if (!quiet) context.out.print("Using default tag: latest\n");
  }
  Request request;
  request.method = "POST";
  request.target = image_path(reference.familiar_name(), "/push") + Query().add_if(!all, "tag", reference.tag).str();
  request.headers.emplace_back("X-Registry-Auth", auth_for(context, reference));
  Answer answer = context.client().send(std::move(request));
  show_progress(answer, context.out, nullptr, quiet);
  if (quiet) context.out.print("{}\n", reference.str());
  return 0;
}

Reference parse_tag(const std::string& text) {
  try {
    return Reference::parse(text);
  } catch (const Error& error) {
    throw error.within(fmt::format("Error parsing reference: \"{}\" is not a valid repository/tag", printable(text)));
  }
}

int run_tag(Context& context, const Arguments& arguments) {
  const std::string& source = arguments.words()[0];
  parse_tag(source);
  Reference target = parse_tag(arguments.words()[1]);
  if (!target.digest.empty()) fail(ErrorKind::invalid_argument, "refusing to create a tag with a digest reference");
  if (target.tag.empty()) target.tag = "latest";
  context.client().post(image_path(source, "/tag") +
                        Query().add("repo", target.familiar_name()).add("tag", target.tag).str());
  return 0;
}

int run_remove_image(Context& context, const Arguments& arguments) {
  const bool force = arguments.flag("force");
  const Query query = Query().add_if(force, "force", "1").add_if(arguments.flag("no-prune"), "noprune", "1");
  int status = 0;
  for_each_name(context, arguments.words(), [&](const std::string& name) {
    try {
      const json::Value changes = context.client().remove(image_path(name) + query.str()).json();
      for (const json::Value& change : array_at(changes, "")) {
        if (const std::string id = text_at(change, "Deleted"); !id.empty())
          context.out.print("Deleted: {}\n", terminal_safe(id));
        else
          context.out.print("Untagged: {}\n", terminal_safe(text_at(change, "Untagged")));
      }
    } catch (const Error& error) {
      // With --force, what is not there need not be removed.
      if (!force || error.kind() != ErrorKind::not_found) status = 1;
      throw;
    }
  });
  return status;
}

}  // namespace

const Command kPull = {.names = "pull|image pull",
                       .usage = "[OPTIONS] NAME[:TAG|@DIGEST]",
                       .summary = "Get an image from a registry",
                       .options = kPullRows,
                       .minimum = 1,
                       .maximum = 1,
                       .run = run_pull};
const Command kPush = {.names = "push|image push",
                       .usage = "[OPTIONS] NAME[:TAG]",
                       .summary = "Send an image to a registry",
                       .options = kPushRows,
                       .minimum = 1,
                       .maximum = 1,
                       .run = run_push};
const Command kTag = {.names = "tag|image tag",
                      .usage = "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
                      .summary = "Give an image another name",
                      .minimum = 2,
                      .maximum = 2,
                      .run = run_tag};
const Command kRemoveImage = {.names = "rmi|image rm|image remove",
                              .usage = "[OPTIONS] IMAGE [IMAGE...]",
                              .summary = "Remove images",
                              .options = kRemoveRows,
                              .minimum = 1,
                              .run = run_remove_image};

}  // namespace bryo::cli
