#include "oci/image.hpp"

#include <algorithm>
#include <array>

#include "base/error.hpp"
#include "base/strings.hpp"

namespace bryo::oci {

namespace media {

bool is_manifest(std::string_view type) { return type == kOciManifest || type == kDockerManifest; }
bool is_index(std::string_view type) { return type == kOciIndex || type == kDockerList; }
bool is_schema1(std::string_view type) { return type == kDockerSchema1 || type == kDockerSchema1Signed; }
bool is_config(std::string_view type) { return type == kOciConfig || type == kDockerConfig; }

bool is_layer(std::string_view type) {
  constexpr std::array kLayers = {
      kOciLayer,
      kOciLayerGzip,
      kOciLayerZstd,
      kDockerLayer,
      kDockerLayerGzip,
      kDockerForeignLayer,
      std::string_view("application/vnd.docker.image.rootfs.diff.tar.zstd"),
      std::string_view("application/vnd.docker.image.rootfs.foreign.diff.tar"),
      std::string_view("application/vnd.oci.image.layer.nondistributable.v1.tar"),
      std::string_view("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"),
      std::string_view("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"),
  };
  return std::ranges::find(kLayers, type) != kLayers.end();
}

}  // namespace media

namespace {

std::string normal_architecture(std::string_view name, std::string& variant) {
  const std::string lower = to_lower(name);
  if (lower == "x86_64" || lower == "x86-64") return "amd64";
  if (lower == "aarch64") return "arm64";
  if (lower == "i386" || lower == "i686") return "386";
  if (lower == "armhf" || lower == "armel") {
    if (variant.empty()) variant = lower == "armhf" ? "v7" : "v6";
    return "arm";
  }
  return lower;
}

// "v7" → 7; 0 for none. arm64 without variant is v8, amd64 without is v1, arm without is v7 (image-spec, and
// containerd's habit for arm).
int variant_level(const Platform& platform) {
  if (platform.variant.empty()) {
    if (platform.architecture == "arm64") return 8;
    if (platform.architecture == "arm") return 7;
    return 1;
  }
  const std::string_view digits = std::string_view(platform.variant).substr(platform.variant.front() == 'v' ? 1 : 0);
  return parse_integer<int>(digits).value_or(-1);
}

}  // namespace

Platform Platform::parse(std::string_view text) {
  Platform platform;
  const auto parts = split(text, '/');
  const auto is_word = [](std::string_view word) {
    return !word.empty() &&
           word.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
               std::string_view::npos;
  };
  if (parts.size() > 3 || !std::ranges::all_of(parts, is_word))
    fail(ErrorKind::invalid_argument,
         "\"{}\" is an invalid component of \"{}\": platform specifier component must match \"^[A-Za-z0-9_-]+$\"",
         printable(text, 80), printable(text, 80));
  if (parts.size() == 3) platform.variant = to_lower(parts[2]);
  if (parts.size() == 1 && to_lower(parts[0]) != "linux") {
    platform.os = "linux";
    platform.architecture = normal_architecture(parts[0], platform.variant);
    return platform;
  }
  platform.os = to_lower(parts[0]);
  platform.architecture = parts.size() > 1 ? normal_architecture(parts[1], platform.variant) : host().architecture;
  return platform;
}

Platform Platform::host() {
  Platform platform;
  platform.os = "linux";
#if defined(__x86_64__)
  platform.architecture = "amd64";
#elif defined(__aarch64__)
  platform.architecture = "arm64";
#elif defined(__riscv)
  platform.architecture = "riscv64";
#elif defined(__powerpc64__)
  platform.architecture = "ppc64le";
#elif defined(__s390x__)
  platform.architecture = "s390x";
#elif defined(__arm__)
  platform.architecture = "arm";
#elif defined(__i386__)
  platform.architecture = "386";
#endif
  return platform;
}

std::string Platform::str() const {
  std::string text = os + "/" + architecture;
  if (!variant.empty()) text += "/" + variant;
  return text;
}

std::string_view media_type_of(std::string_view content_type) {
  return trim(content_type.substr(0, content_type.find(';')));
}

const Descriptor* select_platform(const Index& index, const Platform& wanted) {
  const Descriptor* best = nullptr;
  int best_level = -1;
  const int limit = variant_level(wanted);
  for (const Descriptor& entry : index.manifests) {
    if (!entry.media_type.empty() && !media::is_manifest(entry.media_type)) continue;
    // The member is optional: an index of one image may go without, and its config tells.
    if (!entry.platform && index.manifests.size() == 1) return &entry;
    if (!entry.platform) continue;
    std::string variant = entry.platform->variant;
    const std::string architecture = normal_architecture(entry.platform->architecture, variant);
    if (entry.platform->os != wanted.os || architecture != wanted.architecture) continue;
    const int level = variant_level({architecture, entry.platform->os, "", {}, variant});
    if (level > limit || level <= best_level) continue;
    best = &entry;
    best_level = level;
  }
  return best;
}

}  // namespace bryo::oci
