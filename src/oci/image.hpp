// The OCI image formats (image-spec v1.1: descriptor.md, manifest.md, image-index.md, config.md) and Docker's twins of
// them (image manifest version 2, schema 2), as plain structs. JSON goes through base/json.
//
// parse_manifest/parse_document are strict (D8): a document has exactly one kind, the one that it was asked for by
// media type; see there. Everything throws Error{invalid_argument} on malformed input, Error{unsupported} on formats
// that Bryo knows and refuses (schema 1). Pure functions and values: any thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/digest.hpp"
#include "base/digest_json.hpp"
#include "base/json.hpp"

namespace bryo::oci {

namespace media {
inline constexpr std::string_view kOciManifest = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view kOciIndex = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view kOciConfig = "application/vnd.oci.image.config.v1+json";
inline constexpr std::string_view kOciLayer = "application/vnd.oci.image.layer.v1.tar";
inline constexpr std::string_view kOciLayerGzip = "application/vnd.oci.image.layer.v1.tar+gzip";
inline constexpr std::string_view kOciLayerZstd = "application/vnd.oci.image.layer.v1.tar+zstd";
inline constexpr std::string_view kDockerManifest = "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr std::string_view kDockerList = "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr std::string_view kDockerConfig = "application/vnd.docker.container.image.v1+json";
inline constexpr std::string_view kDockerLayer = "application/vnd.docker.image.rootfs.diff.tar";
inline constexpr std::string_view kDockerLayerGzip = "application/vnd.docker.image.rootfs.diff.tar.gzip";
inline constexpr std::string_view kDockerForeignLayer = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
inline constexpr std::string_view kDockerSchema1 = "application/vnd.docker.distribution.manifest.v1+json";
inline constexpr std::string_view kDockerSchema1Signed = "application/vnd.docker.distribution.manifest.v1+prettyjws";

// One image's manifest / a list of manifests / a layer's tar in any known compression, in either family.
bool is_manifest(std::string_view type);
bool is_index(std::string_view type);
bool is_schema1(std::string_view type);
// Includes the non-distributable and foreign twins.
bool is_layer(std::string_view type);
bool is_config(std::string_view type);
}  // namespace media

// Manifests and configs beyond this are refused unread (image-spec asks for at least 4 MiB; CVE-2023-25153).
inline constexpr std::size_t kMaxDocumentSize = 4U << 20;
// Layers of one image.
inline constexpr std::size_t kMaxLayers = 512;

struct Platform {
  std::string architecture;  // Go's names: amd64, arm64, arm …
  std::string os;
  std::string os_version;
  std::vector<std::string> os_features;
  std::string variant;  // v7, v8; amd64: v2, v3
  bool operator==(const Platform&) const = default;

  // "linux/arm64", "linux/arm/v7", "linux"; aliases such as x86_64 and aarch64 are normalised.
  static Platform parse(std::string_view text);
  // Of this build.
  static Platform host();
  std::string str() const;
};

struct Descriptor {
  std::string media_type;
  Digest digest;
  std::int64_t size = 0;
  std::vector<std::string> urls;
  std::map<std::string, std::string> annotations;
  std::optional<Platform> platform;
  bool operator==(const Descriptor&) const = default;
};

struct Manifest {
  int schema_version = 2;
  std::string media_type;
  Descriptor config;
  std::vector<Descriptor> layers;
  std::map<std::string, std::string> annotations;
};

struct Index {
  int schema_version = 2;
  std::string media_type;
  std::vector<Descriptor> manifests;
  std::map<std::string, std::string> annotations;
};

struct Nothing {
  bool operator==(const Nothing&) const = default;
};

// Durations in nanoseconds, as on Docker's wire.
struct HealthCheck {
  std::vector<std::string> test;
  std::int64_t interval = 0;
  std::int64_t timeout = 0;
  std::int64_t start_period = 0;
  std::int64_t start_interval = 0;
  int retries = 0;
  bool operator==(const HealthCheck&) const = default;
};

// What to run by default: `config` of an image (config.md, "Properties"), with the fields that Docker adds. Absent and
// empty lists differ for Docker's clients (null against []), hence optional.
struct RunConfig {
  std::string hostname;
  std::string domainname;
  std::string user;
  bool attach_stdin = false;
  bool attach_stdout = false;
  bool attach_stderr = false;
  std::map<std::string, Nothing> exposed_ports;  // "80/tcp"
  bool tty = false;
  bool open_stdin = false;
  bool stdin_once = false;
  std::optional<std::vector<std::string>> env;
  std::optional<std::vector<std::string>> cmd;
  std::optional<HealthCheck> healthcheck;
  bool args_escaped = false;
  std::string image;
  std::optional<std::map<std::string, Nothing>> volumes;
  std::string working_dir;
  std::optional<std::vector<std::string>> entrypoint;
  std::optional<std::vector<std::string>> on_build;
  std::optional<std::map<std::string, std::string>> labels;
  std::string stop_signal;
  std::optional<std::vector<std::string>> shell;
  bool operator==(const RunConfig&) const = default;
};

struct RootFs {
  std::string type = "layers";
  std::vector<Digest> diff_ids;
};

struct HistoryEntry {
  std::string created;  // RFC 3339
  std::string created_by;
  std::string author;
  std::string comment;
  bool empty_layer = false;
};

// The config blob; its digest is the image's id. Keep the bytes that came: re-writing them changes the id.
struct ImageConfig {
  std::string created;  // RFC 3339; may be empty
  std::string author;
  std::string architecture;
  std::string variant;
  std::string os;
  std::string os_version;
  std::vector<std::string> os_features;
  RunConfig config;
  RootFs rootfs;
  std::vector<HistoryEntry> history;
  // Docker's own.
  std::string comment;
  std::string container;
  std::optional<RunConfig> container_config;
  std::string docker_version;
};

// Parses a document that was served as `media_type` (the Content-Type without parameters, or a descriptor's type).
// CVE-2021-41190: refused when its own mediaType differs, when it has the members of both kinds (layers/config and
// manifests), or a member whose name differs from a known one only by case. `media_type` empty: the kind follows from
// its own mediaType, else from its members.
using Document = std::variant<Manifest, Index>;
Document parse_document(std::string_view bytes, std::string_view media_type);
// As parse_document, and the kind must match.
Manifest parse_manifest(std::string_view bytes, std::string_view media_type = "");
Index parse_index(std::string_view bytes, std::string_view media_type = "");
// Checks os and rootfs (type "layers"), and that history, where present, has as many layers as diff_ids.
ImageConfig parse_image_config(std::string_view bytes);

std::string to_json(const Manifest& manifest);
std::string to_json(const Index& index);
std::string to_json(const ImageConfig& config);

// "application/json; charset=utf-8" → "application/json".
std::string_view media_type_of(std::string_view content_type);

// The entry of `index` to run on `wanted`: same os and architecture, the best variant not above the wanted one;
// attestation entries (unknown/unknown) never. nullptr when there is none.
const Descriptor* select_platform(const Index& index, const Platform& wanted);

}  // namespace bryo::oci

template <>
struct bryo::json::Fields<bryo::oci::Platform> {
  using T = oci::Platform;
  static constexpr auto list = std::tuple{
      field("architecture", &T::architecture), field("os", &T::os), field("os.version", &T::os_version, omit_empty),
      field("os.features", &T::os_features, omit_empty), field("variant", &T::variant, omit_empty)};
};
template <>
struct bryo::json::Fields<bryo::oci::Descriptor> {
  using T = oci::Descriptor;
  static constexpr auto list = std::tuple{field("mediaType", &T::media_type),
                                          field("digest", &T::digest),
                                          field("size", &T::size),
                                          field("urls", &T::urls, omit_empty),
                                          field("annotations", &T::annotations, omit_empty),
                                          field("platform", &T::platform, omit_empty)};
};
template <>
struct bryo::json::Fields<bryo::oci::Manifest> {
  using T = oci::Manifest;
  static constexpr auto list = std::tuple{
      field("schemaVersion", &T::schema_version), field("mediaType", &T::media_type, omit_empty),
      field("config", &T::config), field("layers", &T::layers), field("annotations", &T::annotations, omit_empty)};
};
template <>
struct bryo::json::Fields<bryo::oci::Index> {
  using T = oci::Index;
  static constexpr auto list =
      std::tuple{field("schemaVersion", &T::schema_version), field("mediaType", &T::media_type, omit_empty),
                 field("manifests", &T::manifests), field("annotations", &T::annotations, omit_empty)};
};
template <>
struct bryo::json::Fields<bryo::oci::Nothing> {
  static constexpr auto list = std::tuple<>{};
};
template <>
struct bryo::json::Fields<bryo::oci::HealthCheck> {
  using T = oci::HealthCheck;
  static constexpr auto list = std::tuple{field("Test", &T::test, omit_empty),
                                          field("Interval", &T::interval, omit_empty),
                                          field("Timeout", &T::timeout, omit_empty),
                                          field("StartPeriod", &T::start_period, omit_empty),
                                          field("StartInterval", &T::start_interval, omit_empty),
                                          field("Retries", &T::retries, omit_empty)};
};
template <>
struct bryo::json::Fields<bryo::oci::RunConfig> {
  using T = oci::RunConfig;
  static constexpr auto list = std::tuple{field("Hostname", &T::hostname),
                                          field("Domainname", &T::domainname),
                                          field("User", &T::user),
                                          field("AttachStdin", &T::attach_stdin),
                                          field("AttachStdout", &T::attach_stdout),
                                          field("AttachStderr", &T::attach_stderr),
                                          field("ExposedPorts", &T::exposed_ports, omit_empty),
                                          field("Tty", &T::tty),
                                          field("OpenStdin", &T::open_stdin),
                                          field("StdinOnce", &T::stdin_once),
                                          field("Env", &T::env),
                                          field("Cmd", &T::cmd),
                                          field("Healthcheck", &T::healthcheck, omit_empty),
                                          field("ArgsEscaped", &T::args_escaped, omit_empty),
                                          field("Image", &T::image),
                                          field("Volumes", &T::volumes),
                                          field("WorkingDir", &T::working_dir),
                                          field("Entrypoint", &T::entrypoint),
                                          field("OnBuild", &T::on_build),
                                          field("Labels", &T::labels),
                                          field("StopSignal", &T::stop_signal, omit_empty),
                                          field("Shell", &T::shell, omit_empty)};
};
template <>
struct bryo::json::Fields<bryo::oci::RootFs> {
  using T = oci::RootFs;
  static constexpr auto list = std::tuple{field("type", &T::type), field("diff_ids", &T::diff_ids)};
};
template <>
struct bryo::json::Fields<bryo::oci::HistoryEntry> {
  using T = oci::HistoryEntry;
  static constexpr auto list =
      std::tuple{field("created", &T::created, omit_empty), field("author", &T::author, omit_empty),
                 field("created_by", &T::created_by, omit_empty), field("comment", &T::comment, omit_empty),
                 field("empty_layer", &T::empty_layer, omit_empty)};
};
template <>
struct bryo::json::Fields<bryo::oci::ImageConfig> {
  using T = oci::ImageConfig;
  static constexpr auto list = std::tuple{field("architecture", &T::architecture),
                                          field("variant", &T::variant, omit_empty),
                                          field("author", &T::author, omit_empty),
                                          field("comment", &T::comment, omit_empty),
                                          field("config", &T::config),
                                          field("container", &T::container, omit_empty),
                                          field("container_config", &T::container_config, omit_empty),
                                          field("created", &T::created, omit_empty),
                                          field("docker_version", &T::docker_version, omit_empty),
                                          field("history", &T::history, omit_empty),
                                          field("os", &T::os),
                                          field("os.version", &T::os_version, omit_empty),
                                          field("os.features", &T::os_features, omit_empty),
                                          field("rootfs", &T::rootfs)};
};
