#include "engine/image_uses.hpp"

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/strings.hpp"
#include "engine/create.hpp"
#include "images/reference.hpp"

namespace bryo::engine {
namespace {

registry::RegistryOptions registry_options(const Options& options) {
  registry::RegistryOptions out;
  out.mirrors = options.registry_mirrors;
  out.insecure = options.insecure_registries;
  out.user_agent = "bryo/" BRYO_VERSION;
  return out;
}

std::optional<oci::Platform> platform_of(std::string_view text) {
  if (text.empty()) return std::nullopt;
  const auto parts = split(text, '/');
  oci::Platform out;
  out.os = parts[0];
  if (parts.size() > 1) out.architecture = parts[1];
  if (parts.size() > 2) out.variant = parts[2];
  if (parts.size() == 1) out.architecture = "amd64";
  if (parts.size() > 3 || out.os.empty() || out.architecture.empty())
    fail(ErrorKind::invalid_argument, "\"{}\" is an invalid platform: expected os[/arch[/variant]]", printable(text));
  return out;
}

json::Value removed_json(const std::vector<images::Removed>& removed) {
  json::Array out;
  for (const auto& one : removed)
    out.push_back(one.untagged.empty() ? json::Object{{"Deleted", one.deleted}}
                                       : json::Object{{"Untagged", one.untagged}});
  return out;
}

// What a pull, load, import or commit has already unpacked goes when it fails: nobody would ever ask for it by name.
template <typename Work>
auto all_or_nothing(images::ImageStore& store, Work work) {
  try {
    return work();
  } catch (...) {
    store.collect_garbage();
    throw;
  }
}

}  // namespace

ImageUses::ImageUses(Services& services, Lifecycle& lifecycle)
    : s_(services),
      lifecycle_(lifecycle),
      client_(registry_options(services.options)),
      puller_(client_, services.blobs, services.layers, services.options.max_concurrent_downloads),
      pusher_(client_, services.blobs, services.layers, services.options.max_concurrent_uploads) {}

void ImageUses::reload(const Options& options) { client_.reload(registry_options(options)); }

// Containers of every map stand on the images: those of other scopes are known by their records only.
std::vector<images::ImageUser> ImageUses::users() {
  std::vector<images::ImageUser> out;
  for (const auto& document : s_.documents.list("container")) {
    const json::Value value = json::parse(document.text);
    const auto image = Digest::try_parse(json::decode<std::string>(value.at("ImageId")));
    if (!image) continue;
    bool running = false;
    if (const auto container = s_.containers.try_find(document.key.id)) {
      std::lock_guard lock(container->mutex);
      running = container->is_up();
    }
    out.push_back({document.key.id, *image, running});
  }
  return out;
}

json::Value ImageUses::list(bool all, const Filters& filters, bool shared_size) {
  return json::encode(s_.images.summaries(all, filters, shared_size));
}

json::Value ImageUses::inspect(std::string_view ref) { return json::encode(s_.images.inspect(ref)); }
json::Value ImageUses::history(std::string_view ref) { return json::encode(s_.images.history(ref)); }

void ImageUses::tag(std::string_view ref, std::string_view repository, std::string_view tag) {
  const auto image = s_.images.resolve(ref);
  const std::string name = s_.images.tag(ref, repository, tag);
  s_.events.publish("image", "tag", image.id.str(), {{"name", name}});
}

json::Value ImageUses::remove(std::string_view ref, bool force, bool no_prune) {
  const auto image = s_.images.resolve(ref);
  const auto removed = s_.images.remove(ref, force, no_prune, [this] { return users(); });
  for (const auto& one : removed) {
    const bool untagged = !one.untagged.empty();
    s_.events.publish("image", untagged ? "untag" : "delete", untagged ? image.id.str() : one.deleted,
                      {{"name", untagged ? one.untagged : one.deleted}});
  }
  return removed_json(removed);
}

json::Value ImageUses::prune(const Filters& filters) {
  const auto result = s_.images.prune(filters, [this] { return users(); });
  s_.events.publish("image", "prune", "", {{"reclaimed", std::to_string(result.reclaimed)}});
  return json::Object{{"ImagesDeleted", result.removed.empty() ? json::Value(nullptr) : removed_json(result.removed)},
                      {"SpaceReclaimed", result.reclaimed}};
}

void ImageUses::pull(std::string_view image, std::string_view tag, std::string_view platform, const RegistryAuth& auth,
                     const ProgressSink& progress, const Cancelled& cancelled) {
  images::PullRequest request;
  request.reference = images::Reference::parse(image, tag);
  request.all_tags = tag.empty() && !request.reference.tag() && !request.reference.digest();
  request.platform = platform_of(platform);
  request.credentials = registry::Credentials::from_json(auth);
  all_or_nothing(s_.images, [&] {
    s_.on_host_network([&] {
      puller_.pull(
          s_.images, request, [&](const images::ProgressEvent& event) { progress(event.encode_json()); }, cancelled);
    });
  });
  const std::string name = request.reference.familiar();
  s_.events.publish("image", "pull", name, {{"name", request.reference.familiar_name()}});
}

void ImageUses::push(std::string_view image, std::string_view tag, const RegistryAuth& auth,
                     const ProgressSink& progress, const Cancelled& cancelled) {
  images::PushRequest request;
  request.reference = images::Reference::parse(image, tag);
  request.all_tags = !request.reference.tag();
  request.credentials = registry::Credentials::from_json(auth);
  s_.on_host_network([&] {
    pusher_.push(
        s_.images, request, [&](const images::ProgressEvent& event) { progress(event.encode_json()); }, cancelled);
  });
  const std::string name = request.reference.familiar();
  s_.events.publish("image", "push", name, {{"name", request.reference.familiar_name()}});
}

std::string ImageUses::import(std::string_view repository, std::string_view tag, std::string_view message,
                              const std::vector<std::string>& changes, std::string_view platform, ByteSource& source) {
  images::ImportInput input;
  if (!repository.empty()) input.reference = images::Reference::parse(repository, tag).with_default_tag().str();
  input.message = message;
  for (const std::string& change : changes) apply_change(input.config, change);
  input.platform = platform_of(platform).value_or(oci::Platform{.architecture = "amd64", .os = "linux"});
  const auto image = all_or_nothing(s_.images, [&] { return s_.images.import(input, source); });
  s_.events.publish("image", "import", image.id.str(),
                    {{"name", input.reference.empty() ? image.id.str() : input.reference}});
  return image.id.str();
}

void ImageUses::save(const std::vector<std::string>& refs, ByteSink& sink) {
  s_.images.save(refs, sink);
  for (const std::string& ref : refs)
    s_.events.publish("image", "save", s_.images.resolve(ref).id.str(), {{"name", ref}});
}

void ImageUses::load(ByteSource& source, bool quiet, const ProgressSink& progress) {
  for (const auto& image : all_or_nothing(s_.images, [&] { return s_.images.load(source, quiet, progress); }))
    s_.events.publish("image", "load", image.id.str(), {{"name", image.id.str()}});
}

// What the client asks for is an image: without the means to pause it gets one all the same, as of a running host.
bool ImageUses::pause_for_commit(const ContainerPtr& container, const std::string& id) {
  try {
    lifecycle_.pause(container);
    return true;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::unsupported) throw;
    log::warning("container {}: committed while it runs, so files that it writes just now may be there in part: {}",
                 id.substr(0, 12), error.message());
    return false;
  }
}

std::string ImageUses::commit(const ContainerPtr& container, const CommitRequest& request) {
  Record record;
  bool pause = false;
  {
    std::lock_guard lock(container->mutex);
    record = container->record;
    pause = request.pause && container->status == Status::running;
  }
  images::CommitInput input;
  if (!record.image_id.empty()) input.parent = Digest::parse(record.image_id);
  input.config = to_image_config(request.config.value_or(record.config));
  if (request.config) {
    // The given config over the container's own, as Docker merges.
    ContainerConfig merged = *request.config;
    merge_image_config(merged, to_image_config(record.config));
    input.config = to_image_config(merged);
  }
  for (const std::string& change : request.changes) apply_change(input.config, change);
  input.author = request.author;
  input.comment = request.comment;
  input.created_by = record.path;
  for (const std::string& arg : record.args) input.created_by += " " + arg;
  input.container_id = record.id;
  input.container_config = to_image_config(record.config);
  if (!request.repository.empty())
    input.reference = images::Reference::parse(request.repository, request.tag).with_default_tag().str();
  input.diff = [&](ByteSink& sink) { s_.snapshots->export_diff(s_.snapshot_of(record.id), sink); };

  if (pause) pause = pause_for_commit(container, record.id);
  // A container is never left paused, whatever happens to the commit.
  struct Resume {
    Lifecycle* lifecycle;
    const ContainerPtr& container;
    ~Resume() {
      if (lifecycle == nullptr) return;
      try {
        lifecycle->unpause(container);
      } catch (const Error&) {
        // it ended meanwhile
      }
    }
  } resume{pause ? &lifecycle_ : nullptr, container};
  const auto image = all_or_nothing(s_.images, [&] { return s_.images.commit(input); });
  s_.publish(record, "commit",
             {{"comment", request.comment}, {"imageID", image.id.str()}, {"imageRef", input.reference}});
  return image.id.str();
}

json::Value ImageUses::distribution(std::string_view ref, const RegistryAuth& auth) {
  json::Value out;
  s_.on_host_network([&] { out = ask_distribution(ref, auth); });
  return out;
}

json::Value ImageUses::ask_distribution(std::string_view ref, const RegistryAuth& auth) {
  const auto reference = images::Reference::parse(ref).with_default_tag();
  auto repository = client_.repository({.domain = reference.domain(),
                                        .path = reference.path(),
                                        .shown_name = reference.familiar_name(),
                                        .credentials = registry::Credentials::from_json(auth)});
  const auto manifest = repository.manifest(reference.digest() ? reference.digest()->str() : *reference.tag());
  oci::Descriptor descriptor;
  descriptor.media_type = manifest.media_type;
  descriptor.digest = manifest.digest;
  descriptor.size = static_cast<std::int64_t>(manifest.bytes.size());
  std::vector<oci::Platform> platforms;
  if (oci::media::is_index(manifest.media_type)) {
    for (const auto& entry : oci::parse_index(manifest.bytes, manifest.media_type).manifests)
      if (entry.platform) platforms.push_back(*entry.platform);
  } else {
    const auto parsed = oci::parse_manifest(manifest.bytes, manifest.media_type);
    const auto config = oci::parse_image_config(repository.blob_text(parsed.config));
    platforms.push_back({.architecture = config.architecture, .os = config.os, .variant = config.variant});
  }
  return json::Object{{"Descriptor", json::encode(descriptor)}, {"Platforms", json::encode(platforms)}};
}

json::Value ImageUses::login(const RegistryAuth& auth) {
  registry::LoginResult result;
  s_.on_host_network([&] { result = client_.login(registry::Credentials::from_json(auth)); });
  return json::Object{{"Status", result.status}, {"IdentityToken", result.identity_token.reveal()}};
}

json::Value ImageUses::disk_usage() {
  auto summaries = s_.images.summaries(false, {}, true);
  const auto used = users();
  for (auto& summary : summaries) {
    summary.containers = 0;
    for (const auto& user : used)
      if (user.image.str() == summary.id) ++summary.containers;
  }
  return json::encode(summaries);
}

}  // namespace bryo::engine
