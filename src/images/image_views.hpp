// Images as the Engine API shows them (v1.47: ImageSummary, ImageInspect, HistoryResponseItem). Plain values.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "oci/image.hpp"

namespace bryo::images {

struct ImageSummary {
  std::string id;  // "sha256:…"
  std::string parent_id;
  std::vector<std::string> repo_tags;  // as shown; empty when dangling
  std::vector<std::string> repo_digests;
  std::int64_t created = 0;  // seconds since the epoch
  std::int64_t size = 0;
  std::int64_t shared_size = -1;  // -1: not computed
  std::int64_t virtual_size = 0;
  std::optional<std::map<std::string, std::string>> labels;
  std::int64_t containers = -1;  // the engine's to fill
};

struct GraphDriverData {
  std::string name;
  std::map<std::string, std::string> data;
};
struct RootFsView {
  std::string type = "layers";
  std::vector<std::string> layers;
};
struct ImageMetadata {
  std::string last_tag_time;
};

struct ImageInspect {
  std::string id;
  std::vector<std::string> repo_tags;
  std::vector<std::string> repo_digests;
  std::string parent;
  std::string comment;
  std::string created;
  std::string container;
  oci::RunConfig container_config;
  std::string docker_version;
  std::string author;
  oci::RunConfig config;
  std::string architecture;
  std::string variant;
  std::string os;
  std::string os_version;
  std::int64_t size = 0;
  std::int64_t virtual_size = 0;
  GraphDriverData graph_driver;
  RootFsView rootfs;
  ImageMetadata metadata;
};

struct HistoryItem {
  std::string id;  // "sha256:…" or "<missing>"
  std::int64_t created = 0;
  std::string created_by;
  std::optional<std::vector<std::string>> tags;
  std::int64_t size = 0;
  std::string comment;
};

}  // namespace bryo::images

template <>
struct bryo::json::Fields<bryo::images::ImageSummary> {
  using T = images::ImageSummary;
  static constexpr auto list = std::tuple{field("Containers", &T::containers),
                                          field("Created", &T::created),
                                          field("Id", &T::id),
                                          field("Labels", &T::labels),
                                          field("ParentId", &T::parent_id),
                                          field("RepoDigests", &T::repo_digests),
                                          field("RepoTags", &T::repo_tags),
                                          field("SharedSize", &T::shared_size),
                                          field("Size", &T::size),
                                          field("VirtualSize", &T::virtual_size)};
};
template <>
struct bryo::json::Fields<bryo::images::GraphDriverData> {
  using T = images::GraphDriverData;
  static constexpr auto list = std::tuple{field("Data", &T::data), field("Name", &T::name)};
};
template <>
struct bryo::json::Fields<bryo::images::RootFsView> {
  using T = images::RootFsView;
  static constexpr auto list = std::tuple{field("Type", &T::type), field("Layers", &T::layers, omit_empty)};
};
template <>
struct bryo::json::Fields<bryo::images::ImageMetadata> {
  using T = images::ImageMetadata;
  static constexpr auto list = std::tuple{field("LastTagTime", &T::last_tag_time)};
};
template <>
struct bryo::json::Fields<bryo::images::ImageInspect> {
  using T = images::ImageInspect;
  static constexpr auto list = std::tuple{field("Id", &T::id),
                                          field("RepoTags", &T::repo_tags),
                                          field("RepoDigests", &T::repo_digests),
                                          field("Parent", &T::parent),
                                          field("Comment", &T::comment),
                                          field("Created", &T::created),
                                          field("Container", &T::container),
                                          field("ContainerConfig", &T::container_config),
                                          field("DockerVersion", &T::docker_version),
                                          field("Author", &T::author),
                                          field("Config", &T::config),
                                          field("Architecture", &T::architecture),
                                          field("Variant", &T::variant, omit_empty),
                                          field("Os", &T::os),
                                          field("OsVersion", &T::os_version, omit_empty),
                                          field("Size", &T::size),
                                          field("VirtualSize", &T::virtual_size),
                                          field("GraphDriver", &T::graph_driver),
                                          field("RootFS", &T::rootfs),
                                          field("Metadata", &T::metadata)};
};
template <>
struct bryo::json::Fields<bryo::images::HistoryItem> {
  using T = images::HistoryItem;
  static constexpr auto list =
      std::tuple{field("Comment", &T::comment), field("Created", &T::created), field("CreatedBy", &T::created_by),
                 field("Id", &T::id),           field("Size", &T::size),       field("Tags", &T::tags)};
};
