// A tar stream into a fresh directory: the pipeline behind LayerStore::unpack.
//
//   source ─▶ count ─▶ inflate ─▶ sha256 ─▶ │1 MiB buffers│ ─▶ parse ─▶ files
//   └───────────── one thread ─────────────┘                └─ one thread ─┘
#pragma once

#include <string>

#include "storage/data_root.hpp"
#include "storage/layer_store.hpp"

namespace bryo::storage {

// `directory` (below the root) is fresh and ours. Checks the diff id; does not sync.
LayerInfo unpack_layer(DataRoot& root, const std::string& directory, const UnpackRequest& request, ByteSource& source);

}  // namespace bryo::storage
