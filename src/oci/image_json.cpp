#include "base/error.hpp"
#include "base/strings.hpp"
#include "oci/image.hpp"

namespace bryo::oci {

namespace {

[[noreturn]] void fail_document(std::string_view why) { fail(ErrorKind::invalid_argument, "image document: {}", why); }

// The members that decide what a document is. Other engines compare names without regard to case, so a look-alike would
// be read differently by different readers.
constexpr std::string_view kMembers[] = {"schemaVersion", "mediaType", "config",  "layers",
                                         "manifests",     "fsLayers",  "subject", "annotations"};

const json::Object& checked_object(const json::Value& value) {
  if (!value.is_object()) fail_document("not a JSON object");
  for (const auto& member : value.get_object()) {
    const std::string_view name(member.key().data(), member.key().size());
    for (const std::string_view known : kMembers)
      if (name != known && iequals(name, known))
        fail_document(fmt::format("member \"{}\" is not spelled \"{}\"", printable(name, 40), known));
  }
  return value.get_object();
}

std::string own_type(const json::Object& object) {
  const auto* found = object.if_contains("mediaType");
  if (found == nullptr) return {};
  return json::decode<std::string>(*found, "mediaType");
}

void check_kind(const json::Object& object, std::string_view type) {
  const bool as_manifest = object.contains("layers") || object.contains("config");
  const bool as_index = object.contains("manifests");
  if (as_manifest && as_index) fail_document("it is a manifest and an index at the same time");
  if (object.contains("fsLayers") && (as_manifest || as_index)) fail_document("it mixes schema 1 and 2");
  if (media::is_manifest(type) && as_index) fail_document(fmt::format("an index was sent as {}", type));
  if (media::is_index(type) && as_manifest) fail_document(fmt::format("a manifest was sent as {}", type));
}

[[noreturn]] void fail_schema1() {
  fail(ErrorKind::unsupported,
       "the image is in Docker's schema 1 format of 2015, which is not supported: its author can convert it by pushing "
       "it again with a current client");
}

void check_descriptor(const Descriptor& descriptor, std::string_view what) {
  if (descriptor.digest.empty()) fail_document(fmt::format("{} has no digest", what));
  if (descriptor.size < 0) fail_document(fmt::format("{} has a negative size", what));
}

Manifest read_manifest(const json::Value& value) {
  auto manifest = json::decode<Manifest>(value);
  if (manifest.schema_version != 2) fail_document("schemaVersion is not 2");
  check_descriptor(manifest.config, "config");
  if (manifest.layers.size() > kMaxLayers)
    fail_document(fmt::format("{} layers: at most {} are accepted", manifest.layers.size(), kMaxLayers));
  for (const Descriptor& layer : manifest.layers) check_descriptor(layer, "a layer");
  return manifest;
}

Index read_index(const json::Value& value) {
  auto index = json::decode<Index>(value);
  if (index.schema_version != 2) fail_document("schemaVersion is not 2");
  for (const Descriptor& entry : index.manifests) check_descriptor(entry, "an entry");
  return index;
}

// Docker accepts a single word in place of a list here.
void listify(json::Object& object, std::string_view name) {
  auto* found = object.if_contains(name);
  if (found == nullptr || !found->is_string()) return;
  json::Array list;
  list.push_back(*found);
  *found = std::move(list);
}

}  // namespace

Document parse_document(std::string_view bytes, std::string_view media_type) {
  if (bytes.size() > kMaxDocumentSize) fail_document(fmt::format("larger than {} bytes", kMaxDocumentSize));
  const json::Value value = json::parse(bytes);
  const json::Object& object = checked_object(value);
  const std::string own = own_type(object);
  // CVE-2021-41190: one document, one meaning; what it says of itself and what it was sent as must agree.
  if (!own.empty() && !media_type.empty() && own != media_type)
    fail_document(fmt::format("sent as {}, but it says {}", printable(media_type, 100), printable(own, 100)));
  const std::string_view type = media_type.empty() ? std::string_view(own) : media_type;
  if (media::is_schema1(type)) fail_schema1();
  if (type.empty() && object.contains("fsLayers")) fail_schema1();
  check_kind(object, type);
  if (!type.empty() && !media::is_manifest(type) && !media::is_index(type))
    fail(ErrorKind::unsupported, "media type {} is not an image", printable(type, 100));
  const bool index = type.empty() ? object.contains("manifests") : media::is_index(type);
  if (index) return read_index(value);
  return read_manifest(value);
}

Manifest parse_manifest(std::string_view bytes, std::string_view media_type) {
  auto document = parse_document(bytes, media_type);
  if (auto* manifest = std::get_if<Manifest>(&document)) return std::move(*manifest);
  fail_document("an index where a manifest is expected");
}

Index parse_index(std::string_view bytes, std::string_view media_type) {
  auto document = parse_document(bytes, media_type);
  if (auto* index = std::get_if<Index>(&document)) return std::move(*index);
  fail_document("a manifest where an index is expected");
}

ImageConfig parse_image_config(std::string_view bytes) {
  if (bytes.size() > kMaxDocumentSize) fail_document(fmt::format("config larger than {} bytes", kMaxDocumentSize));
  json::Value value = json::parse(bytes);
  if (!value.is_object()) fail_document("config is not a JSON object");
  for (const std::string_view name : {"config", "container_config"})
    if (auto* run = value.get_object().if_contains(name); run != nullptr && run->is_object())
      for (const std::string_view list : {"Cmd", "Entrypoint", "Shell", "OnBuild"}) listify(run->get_object(), list);
  auto config = json::decode<ImageConfig>(value);
  if (config.rootfs.type != "layers")
    fail_document(fmt::format("config: rootfs of type \"{}\"", printable(config.rootfs.type, 40)));
  if (config.rootfs.diff_ids.size() > kMaxLayers) fail_document("config: too many layers");
  for (const Digest& diff_id : config.rootfs.diff_ids)
    if (diff_id.empty()) fail_document("config: an empty diff id");
  std::size_t layers = 0;
  for (const HistoryEntry& entry : config.history) layers += entry.empty_layer ? 0U : 1U;
  if (layers > config.rootfs.diff_ids.size() && !config.history.empty())
    fail_document(
        fmt::format("config: history tells of {} layers, rootfs of {}", layers, config.rootfs.diff_ids.size()));
  return config;
}

std::string to_json(const Manifest& manifest) { return json::serialize(json::encode(manifest)); }
std::string to_json(const Index& index) { return json::serialize(json::encode(index)); }
std::string to_json(const ImageConfig& config) { return json::serialize(json::encode(config)); }

}  // namespace bryo::oci
