// docker cp, export and diff: the files of a container, running or not, by descriptor only (D1).
//
// A running container is seen as it sees itself (/proc/PID/root, with its mounts). One that does not run is seen
// through a detached mount of its root file system with its volumes in place.
#pragma once

#include "base/bytes.hpp"
#include "engine/services.hpp"
#include "engine/types/requests.hpp"
#include "engine/types/streams.hpp"

namespace bryo::engine {

class Archive {
 public:
  explicit Archive(Services& services) : s_(services) {}
  PathStat stat(const ContainerPtr& container, std::string_view path);
  void get(const ContainerPtr& container, std::string_view path, const std::function<void(const PathStat&)>& ready,
           ByteSink& sink);
  void put(const ContainerPtr& container, const ArchivePutRequest& request, ByteSource& source);
  void export_root(const ContainerPtr& container, ByteSink& sink);
  std::vector<PathChange> changes(const ContainerPtr& container);

 private:
  struct View;
  View open(const ContainerPtr& container, bool read_only);
  std::vector<storage::ViewMount> mounts_of(const Record& record);

  Services& s_;
};

}  // namespace bryo::engine
