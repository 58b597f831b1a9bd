#include "cli/setup/installation.hpp"

#include <algorithm>

#include "base/digest.hpp"
#include "base/error.hpp"
#include "base/strings.hpp"
#include "cli/files/disk.hpp"

namespace bryo::cli {
namespace {

// nullopt: nothing there, or nothing that can be read as a file.
std::optional<std::string> digest_of(const std::string& path) {
  try {
    const auto text = read_whole_file(path);
    return text ? std::optional(Digest::of(*text).str()) : std::nullopt;
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace

Installation::Installation(std::string manifest_file) : file_(std::move(manifest_file)) {
  if (auto read = read_manifest(file_)) {
    manifest_ = std::move(*read);
    exists_ = true;
  }
}

Installation::Standing Installation::standing(const std::string& path) const {
  if (!is_there(path)) return Standing::absent;
  const auto known = manifest_.files.find(path);
  if (known == manifest_.files.end()) return Standing::foreign;
  return digest_of(path) == known->second ? Standing::ours : Standing::changed;
}

bool Installation::is_current(const WantedFile& file) const {
  return digest_of(file.path) == Digest::of(file.content).str();
}

void Installation::refuse_foreign(const std::vector<WantedFile>& wanted) const {
  std::string foreign;
  for (const WantedFile& file : wanted)
    if (standing(file.path) == Standing::foreign) foreign += "\n  " + printable(file.path, 4096);
  if (!foreign.empty())
    fail(ErrorKind::conflict,
         "these files are there, and bryo setup did not make them. Move them away, or choose another --prefix:{}",
         foreign);
}

void Installation::make_directory_for(const std::string& path) {
  for (const std::string& made : make_directories(parent_of(path))) manifest_.directories.push_back(made);
}

std::vector<std::string> Installation::remove_unwanted(const std::vector<WantedFile>& wanted) {
  std::vector<std::string> kept;
  for (auto known = manifest_.files.begin(); known != manifest_.files.end();) {
    const bool stays =
        std::any_of(wanted.begin(), wanted.end(), [&](const WantedFile& file) { return file.path == known->first; });
    if (stays) {
      ++known;
      continue;
    }
    if (standing(known->first) == Standing::ours)
      remove_file(known->first);
    else if (is_there(known->first))
      kept.push_back(known->first);
    known = manifest_.files.erase(known);
  }
  return kept;
}

std::vector<std::string> Installation::install(const std::vector<WantedFile>& wanted) {
  refuse_foreign(wanted);
  std::vector<std::string> changed = remove_unwanted(wanted);
  std::vector<const WantedFile*> to_write;
  for (const WantedFile& file : wanted) {
    const Standing now = standing(file.path);
    if (now == Standing::changed && !is_current(file)) {
      changed.push_back(file.path);
      continue;
    }
    if (now == Standing::absent) new_files_.push_back(file.path);
    if (is_current(file))
      manifest_.files[file.path] = Digest::of(file.content).str();  // perhaps a setup before this one was cut short
    else
      to_write.push_back(&file);
  }
  // The digest of one that is replaced changes when it is.
  for (const WantedFile* file : to_write)
    if (!is_there(file->path)) manifest_.files[file->path] = Digest::of(file->content).str();
  make_directory_for(file_);
  for (const WantedFile* file : to_write) make_directory_for(file->path);
  save();
  for (const WantedFile* file : to_write) {
    write_whole_file(file->path, file->content, file->mode);
    manifest_.files[file->path] = Digest::of(file->content).str();
  }
  save();
  return changed;
}

void Installation::save() {
  make_directory_for(file_);
  write_whole_file(file_, manifest_text(manifest_), 0644);
  exists_ = true;
}

void Installation::roll_back() {
  for (const std::string& path : new_files_) {
    remove_file(path);
    manifest_.files.erase(path);
  }
  new_files_.clear();
  if (manifest_.files.empty())
    uninstall();
  else
    save();
}

std::vector<std::string> Installation::uninstall() {
  std::vector<std::string> kept;
  for (const auto& [path, digest] : manifest_.files) {
    const Standing now = standing(path);
    if (now == Standing::ours) remove_file(path);
    if (now == Standing::changed) kept.push_back(path);
  }
  remove_file(file_);
  for (auto directory = manifest_.directories.rbegin(); directory != manifest_.directories.rend(); ++directory)
    remove_empty_directory(*directory);
  manifest_ = {};
  exists_ = false;
  return kept;
}

}  // namespace bryo::cli
