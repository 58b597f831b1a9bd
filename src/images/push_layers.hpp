// Layers on their way to a registry. Private to push.
#pragma once

#include <string>
#include <vector>

#include "images/pull_layers.hpp"
#include "images/push.hpp"

namespace bryo::images {

struct PushLayer {
  oci::Descriptor blob;
  Digest diff_id;  // its short form is the layer's name in the progress
  // Other repositories of the same registry that are known to have it ("library/busybox").
  std::vector<std::string> known_in;
};

struct PushContext {
  storage::BlobStore& blobs;
  registry::Repository& repository;
  Slots& slots;
  ProgressLines& progress;
  registry::Cancelled cancelled;
  int parallel = 5;
};

// Base first; progress lines top first, as Docker's. The first failure is thrown, after all threads have ended.
void push_layers(const PushContext& context, const std::vector<PushLayer>& layers);
// The config: no progress of its own.
void push_small(const PushContext& context, const Digest& digest, std::string_view bytes);

}  // namespace bryo::images
