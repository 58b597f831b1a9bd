#include "images/image_index.hpp"

#include <mutex>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/time.hpp"

namespace bryo::images {

using storage::Change;
using storage::DocumentStore;

ImageIndex::ImageIndex(DocumentStore& documents, std::string scope) : documents_(documents), scope_(std::move(scope)) {
  for (const auto& document : documents_.list("image", scope_)) {
    try {
      auto record = json::decode<ImageRecord>(json::parse(document.text));
      images_.emplace(record.id, std::move(record));
    } catch (const Error& error) {
      log::error("image {}: its record cannot be read and is left alone: {}", document.key.id, error.what());
    }
  }
  for (const auto& document : documents_.list("reference", scope_)) {
    const auto record = json::decode<ReferenceRecord>(json::parse(document.text));
    if (images_.contains(record.image)) names_.emplace(document.key.id, record.image);
  }
}

Image ImageIndex::view(const ImageRecord& record) const {
  Image out;
  out.id = record.id;
  out.manifest = record.manifest;
  out.chain_ids = record.chain_ids;
  if (!record.chain_ids.empty()) out.top = record.chain_ids.back();
  out.layers = record.layers;
  if (!record.parent.empty()) out.parent = record.parent;
  out.size = record.size;
  out.last_tagged = record.last_tagged;
  for (const auto& [name, id] : names_) {
    if (id != record.id) continue;
    (name.find('@') == std::string::npos ? out.tags : out.digests).push_back(name);
  }
  return out;
}

std::optional<Image> ImageIndex::find(const Digest& id) const {
  std::shared_lock lock(mutex_);
  const auto found = images_.find(id);
  if (found == images_.end()) return std::nullopt;
  return view(found->second);
}

std::optional<Digest> ImageIndex::named(const std::string& full_name) const {
  std::shared_lock lock(mutex_);
  const auto found = names_.find(full_name);
  if (found == names_.end()) return std::nullopt;
  return found->second;
}

std::vector<Digest> ImageIndex::with_prefix(std::string_view hex) const {
  std::vector<Digest> out;
  std::shared_lock lock(mutex_);
  for (const auto& [id, record] : images_) {
    if (id.hex().starts_with(hex)) out.push_back(id);
    if (out.size() == 2) break;
  }
  return out;
}

std::vector<Image> ImageIndex::all() const {
  std::shared_lock lock(mutex_);
  std::vector<Image> out;
  for (const auto& [id, record] : images_) out.push_back(view(record));
  return out;
}

std::string ImageIndex::created_of(const Digest& id) const {
  std::shared_lock lock(mutex_);
  const auto found = images_.find(id);
  return found == images_.end() ? std::string() : found->second.created;
}

Image ImageIndex::put(ImageRecord record, const std::vector<std::string>& names, std::vector<Change> more) {
  std::vector<Change> changes = std::move(more);
  if (!names.empty()) record.last_tagged = to_rfc3339_nano(wall_now());
  changes.push_back(DocumentStore::change(image_key(record.id), record));
  for (const std::string& name : names)
    changes.push_back(DocumentStore::change(name_key(name), ReferenceRecord{record.id}));
  documents_.transaction(std::move(changes));
  std::unique_lock lock(mutex_);
  for (const std::string& name : names) names_.insert_or_assign(name, record.id);
  const Digest id = record.id;
  images_.insert_or_assign(id, std::move(record));
  return view(images_.at(id));
}

void ImageIndex::name(const Digest& id, const std::string& full_name) {
  ImageRecord record;
  {
    std::shared_lock lock(mutex_);
    const auto found = images_.find(id);
    if (found == images_.end()) fail(ErrorKind::not_found, "No such image: {}", id.str());
    record = found->second;
  }
  put(std::move(record), {full_name}, {});
}

void ImageIndex::unname(const std::vector<std::string>& full_names) {
  std::vector<Change> changes;
  for (const std::string& name : full_names) changes.push_back(DocumentStore::removal(name_key(name)));
  documents_.transaction(std::move(changes));
  std::unique_lock lock(mutex_);
  for (const std::string& name : full_names) names_.erase(name);
}

void ImageIndex::erase(const Digest& id) {
  std::vector<std::string> names;
  std::vector<Change> changes = {DocumentStore::removal(image_key(id))};
  {
    std::shared_lock lock(mutex_);
    for (const auto& [name, image] : names_)
      if (image == id) names.push_back(name);
  }
  for (const std::string& name : names) changes.push_back(DocumentStore::removal(name_key(name)));
  documents_.transaction(std::move(changes));
  std::unique_lock lock(mutex_);
  for (const std::string& name : names) names_.erase(name);
  images_.erase(id);
}

}  // namespace bryo::images
