// All CDI specifications of the host, as they are at one moment: made anew for each container that wants a device,
// since vendors' tools write these files while the engine runs.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "oci/cdi/spec.hpp"

namespace bryo::oci::cdi {

class Registry {
 public:
  // Files *.json and *.yaml of the directories, lowest priority first; directories that are not there are left out. A
  // file that cannot be read or is wrong is a problem, and hides no other.
  static Registry scan(std::span<const std::string> directories);

  // What these devices need: of each specification its own edits once, before those of its devices. Error
  // {invalid_argument} names all devices that are not there, and the problems that may be the reason.
  ContainerEdits edits_of(std::span<const std::string> names) const;
  // Qualified names, sorted.
  std::vector<std::string> names() const;
  // "/etc/cdi/x.json: kind: …"
  const std::vector<std::string>& problems() const { return problems_; }

 private:
  struct File {
    std::string path;
    std::size_t priority = 0;
    Spec spec;
  };
  struct Found {
    std::shared_ptr<const File> file;
    const Device* device = nullptr;  // of the file
    bool conflict = false;           // two files of one directory have it
  };
  void add(std::shared_ptr<const File> file);

  std::map<std::string, Found, std::less<>> devices_;
  std::vector<std::string> problems_;
};

}  // namespace bryo::oci::cdi
