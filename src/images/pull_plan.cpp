#include "images/pull_plan.hpp"

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::images {

namespace {

// Registries without types of their own say application/json or text/plain: then the document speaks for itself.
std::string_view known_type(const registry::FetchedManifest& fetched) {
  const std::string_view type = fetched.media_type;
  const bool known = oci::media::is_manifest(type) || oci::media::is_index(type) || oci::media::is_schema1(type);
  return known ? type : std::string_view();
}

void check_types(const oci::Manifest& manifest) {
  const std::string& config = manifest.config.media_type;
  if (!config.empty() && !oci::media::is_config(config) && config != "application/octet-stream")
    fail(ErrorKind::unsupported, "this is no container image: its config has the media type {}",
         printable(config, 100));
  for (const oci::Descriptor& layer : manifest.layers)
    if (!oci::media::is_layer(layer.media_type))
      fail(ErrorKind::unsupported, "unsupported media type {} of layer {}", printable(layer.media_type, 100),
           layer.digest.short_id());
}

}  // namespace

PullPlan fetch_manifest(registry::Repository& repository, std::string_view reference,
                        const std::optional<oci::Platform>& platform) {
  auto fetched = repository.manifest(reference);
  PullPlan plan;
  plan.top = fetched.digest;
  auto document = oci::parse_document(fetched.bytes, known_type(fetched));
  if (const auto* index = std::get_if<oci::Index>(&document)) {
    const oci::Platform wanted = platform.value_or(oci::Platform::host());
    const oci::Descriptor* entry = oci::select_platform(*index, wanted);
    if (entry == nullptr)
      fail(ErrorKind::not_found, "no matching manifest for {} in the manifest list entries", wanted.str());
    const oci::Descriptor chosen = *entry;
    fetched = repository.manifest(chosen.digest.str());
    if (static_cast<std::int64_t>(fetched.bytes.size()) != chosen.size)
      fail(ErrorKind::invalid_argument, "manifest {}: {} bytes, the index says {}", chosen.digest.str(),
           fetched.bytes.size(), chosen.size);
    document = oci::parse_document(fetched.bytes, chosen.media_type.empty() ? known_type(fetched) : chosen.media_type);
  }
  auto* manifest = std::get_if<oci::Manifest>(&document);
  if (manifest == nullptr) fail(ErrorKind::unsupported, "an index inside an index is not supported");
  check_types(*manifest);
  plan.manifest_type = !manifest->media_type.empty() ? manifest->media_type : std::string(known_type(fetched));
  if (plan.manifest_type.empty()) plan.manifest_type = oci::media::kOciManifest;
  plan.parsed = std::move(*manifest);
  plan.manifest = std::move(fetched.bytes);
  return plan;
}

void fetch_config(registry::Repository& repository, const std::optional<oci::Platform>& wanted, PullPlan& plan,
                  const std::string& shown_name) {
  plan.config = repository.blob_text(plan.parsed.config);
  const auto config = oci::parse_image_config(plan.config);
  if (!config.os.empty() && config.os != "linux")
    fail(ErrorKind::unsupported, "image operating system \"{}\" cannot be used on this platform",
         printable(config.os, 40));
  if (wanted && !config.architecture.empty() && config.architecture != wanted->architecture)
    fail(ErrorKind::not_found,
         "image with reference {} was found but does not match the specified platform: wanted {}, actual: {}/{}",
         shown_name, wanted->str(), config.os, printable(config.architecture, 40));
  if (config.rootfs.diff_ids.size() != plan.parsed.layers.size())
    fail(ErrorKind::invalid_argument, "layers from manifest don't match image configuration: {} and {}",
         plan.parsed.layers.size(), config.rootfs.diff_ids.size());
  plan.diff_ids = config.rootfs.diff_ids;
}

}  // namespace bryo::images
