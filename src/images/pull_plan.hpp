// From a tag to what must be fetched: index → manifest of the platform → config. Private to pull.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "images/pull.hpp"
#include "registry/client.hpp"

namespace bryo::images {

struct PullPlan {
  Digest top;  // of what the tag pointed at
  std::string manifest;
  std::string manifest_type;
  oci::Manifest parsed;
  std::string config;  // bytes; verified
  std::vector<Digest> diff_ids;
};

// The manifest alone; config and diff_ids are filled by fetch_config, which an image that is here already does not
// need.
PullPlan fetch_manifest(registry::Repository& repository, std::string_view reference,
                        const std::optional<oci::Platform>& platform);
void fetch_config(registry::Repository& repository, const std::optional<oci::Platform>& wanted, PullPlan& plan,
                  const std::string& shown_name);

}  // namespace bryo::images
