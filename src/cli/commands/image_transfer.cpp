#include "cli/commands/image_transfer.hpp"

#include "cli/auth/registry_auth.hpp"
#include "cli/terminal/progress.hpp"

namespace bryo::cli {

std::string auth_for(Context& context, const Reference& reference) {
  const std::string key = registry_key(reference);
  return registry_auth_header(context.config().credentials(key), key);
}

void pull_image(Context& context, const Reference& reference, const std::string& platform, bool all_tags, bool quiet,
                Output& out) {
  Query query;
  query.add("fromImage", reference.name());
  if (!reference.digest.empty())
    query.add("tag", reference.digest);
  else if (!all_tags)
    query.add("tag", reference.tag.empty() ? "latest" : reference.tag);
  query.add_if(!platform.empty(), "platform", platform);
  Request request;
  request.method = "POST";
  request.target = "/images/create" + query.str();
  request.headers.emplace_back("X-Registry-Auth", auth_for(context, reference));
  Answer answer = context.client().send(std::move(request));
  show_progress(answer, out, nullptr, quiet);
}

}  // namespace bryo::cli
