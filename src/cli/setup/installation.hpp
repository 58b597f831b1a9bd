// Files on their way to a host and back, with a manifest: what is not in it is somebody else's and is never changed.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "cli/setup/manifest.hpp"

namespace bryo::cli {

struct WantedFile {
  std::string path;
  std::string content;
  mode_t mode = 0644;
};

class Installation {
 public:
  // Reads the manifest when there is one.
  explicit Installation(std::string manifest_file);

  bool exists() const { return exists_; }
  Manifest& manifest() { return manifest_; }

  // Makes the files, and removes those of an earlier version that are not wanted any more. Nothing is changed when one
  // of them is there and not ours (Error{conflict} names them all). A file of ours that somebody has changed since is
  // left alone and returned. The manifest is on disk before the first file is, so that a crash leaves nothing behind
  // that uninstall() does not know.
  std::vector<std::string> install(const std::vector<WantedFile>& wanted);
  // Takes away what this object's install() has made and was not there before.
  void roll_back();
  // Removes everything of ours; returns the files that were changed since, which stay.
  std::vector<std::string> uninstall();
  void save();

 private:
  enum class Standing { absent, ours, changed, foreign };
  Standing standing(const std::string& path) const;
  bool is_current(const WantedFile& file) const;
  void refuse_foreign(const std::vector<WantedFile>& wanted) const;
  std::vector<std::string> remove_unwanted(const std::vector<WantedFile>& wanted);
  void make_directory_for(const std::string& path);

  std::string file_;
  Manifest manifest_;
  bool exists_ = false;
  std::vector<std::string> new_files_;
};

}  // namespace bryo::cli
