// Named volumes of the local driver: <root>[/<scope>]/volumes/<name>/_data.
//
// What lies in them has the ids of images (0…65535); containers with a map see it through an idmapped bind, so a volume
// survives a change of the map. Volumes with options (type=tmpfs, type=nfs, o=bind,device=…) hold nothing here: they
// say what to mount. Names are [a-zA-Z0-9][a-zA-Z0-9_.-]* (CVE-2021-20206 class). Any thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ids/id_map.hpp"
#include "kernel/paths.hpp"
#include "storage/data_root.hpp"
#include "storage/document_store.hpp"

namespace bryo::storage {

struct Volume {
  std::string name;
  std::string scope;
  std::string driver = "local";
  std::string created;  // RFC 3339, seconds
  std::map<std::string, std::string> labels;
  std::map<std::string, std::string> options;
  bool anonymous = false;  // made for a container without a name: removed with it (docker rm -v, --rm)
  std::string mountpoint;  // ".../_data"
};

// What a volume's options ask for: mount(8)'s words. Empty type: the volume is a plain directory.
struct VolumeMount {
  std::string type;     // "tmpfs", "nfs", "none" (bind) …
  std::string device;   // "/srv/data", "tmpfs", ":/export"
  std::string options;  // as given: "o=" ("size=100m,uid=1000", "bind,ro", "addr=…")
};

struct VolumeRequest {
  std::string scope;
  std::string name;    // empty: 64 hex digits, anonymous
  std::string driver;  // "", "local"; others Error{not_found} with Docker's text
  std::map<std::string, std::string> options;
  std::map<std::string, std::string> labels;
};

class VolumeStore {
 public:
  VolumeStore(DataRoot& root, DocumentStore& documents);
  ~VolumeStore();

  // The existing volume of that name when driver and options agree; Error{conflict} when they do not. Durable.
  Volume create(const VolumeRequest& request);
  // Error{not_found} "get <name>: no such volume".
  Volume get(std::string_view scope, std::string_view name) const;
  std::optional<Volume> find(std::string_view scope, std::string_view name) const;
  std::vector<Volume> list(std::string_view scope) const;
  // The engine has made sure that no container uses it.
  void remove(std::string_view scope, std::string_view name);

  // The tree of a plain volume, image ids. Error{unsupported} for volumes with a type of their own.
  kernel::RootDirectory data(const Volume& volume) const;
  std::optional<VolumeMount> mount_of(const Volume& volume) const;
  // Fills an *empty* volume with what the image has at `path` (docker: first use, not with :nocopy): resolved inside
  // `image_root` (CVE-2022-23648), never over existing content (CVE-2020-1726), with owner and mode of the directory
  // itself. `maps` translates from the ids that image_root shows (host) to those of the volume. Returns false when
  // there was nothing to do.
  bool copy_up(const Volume& volume, const kernel::RootDirectory& image_root, std::string_view path,
               const ids::IdMaps& maps);
  // Bytes on disk (regular files, hard links once).
  std::uint64_t size(const Volume& volume) const;

 private:
  DataRoot& root_;
  DocumentStore& documents_;
  std::mutex mutex_;  // one change at a time
};

}  // namespace bryo::storage
