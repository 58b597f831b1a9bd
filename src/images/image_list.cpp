#include "images/image_list.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "base/time.hpp"

namespace bryo::images {
namespace {

constexpr std::array kKnown = {"dangling", "label", "label!", "before", "since", "reference", "until"};

const std::vector<std::string>* values_of(const Filters& filters, const char* name) {
  const auto found = filters.find(name);
  return found == filters.end() || found->second.empty() ? nullptr : &found->second;
}

bool is_true(const std::string& text) {
  if (text == "true" || text == "1") return true;
  if (text == "false" || text == "0") return false;
  fail(ErrorKind::invalid_argument, "invalid filter 'dangling={}'", printable(text));
}

std::vector<std::string> shown_names(const std::vector<std::string>& names) {
  std::vector<std::string> out;
  for (const std::string& name : names) out.push_back(shown_name(name));
  return out;
}

}  // namespace

ImageFilter::ImageFilter(const ImageStore::Impl& impl, const Filters& filters) : impl_(impl), filters_(filters) {
  for (const auto& [name, values] : filters)
    if (std::find(kKnown.begin(), kKnown.end(), name) == kKnown.end())
      fail(ErrorKind::invalid_argument, "invalid filter '{}'", printable(name));
  const auto created = [&](const std::string& ref) {
    return unix_seconds(impl_.index.created_of(impl_.resolve(ref).id));
  };
  if (const auto* before = values_of(filters, "before")) before_ = created(before->front());
  if (const auto* since = values_of(filters, "since")) since_ = created(since->front());
  if (const auto* until = values_of(filters, "until")) {
    const auto time = parse_timestamp(until->front(), wall_now());
    if (!time) fail(ErrorKind::invalid_argument, "invalid filter 'until={}'", printable(until->front()));
    until_ = std::chrono::floor<std::chrono::seconds>(*time).time_since_epoch().count();
  }
}

bool ImageFilter::matches(const Image& image) const {
  if (const auto* dangling = values_of(filters_, "dangling");
      dangling != nullptr && is_true(dangling->front()) != image.tags.empty())
    return false;
  const std::int64_t created = unix_seconds(impl_.index.created_of(image.id));
  if (before_ != 0 && created >= before_) return false;
  if (since_ != 0 && created <= since_) return false;
  if (until_ != 0 && created >= until_) return false;
  return matches_labels(image) && matches_reference(image);
}

bool ImageFilter::matches_labels(const Image& image) const {
  const auto* wanted = values_of(filters_, "label");
  const auto* unwanted = values_of(filters_, "label!");
  if (wanted == nullptr && unwanted == nullptr) return true;
  const auto labels = impl_.config_of(image.id).config.labels.value_or(std::map<std::string, std::string>{});
  const auto holds = [&](const std::string& text) {
    const auto parts = split_once(text, '=');
    const auto found = labels.find(std::string(parts ? parts->first : std::string_view(text)));
    return found != labels.end() && (!parts || found->second == parts->second);
  };
  return (wanted == nullptr || std::all_of(wanted->begin(), wanted->end(), holds)) &&
         (unwanted == nullptr || std::none_of(unwanted->begin(), unwanted->end(), holds));
}

bool ImageFilter::keeps(const std::string& full_name) const {
  const auto* patterns = values_of(filters_, "reference");
  if (patterns == nullptr) return true;
  const auto reference = Reference::try_parse(full_name);
  if (!reference) return false;
  for (const std::string& pattern : *patterns)
    for (const std::string& name :
         {reference->familiar_name(), reference->familiar(), reference->name(), reference->str()})
      if (::fnmatch(pattern.c_str(), name.c_str(), FNM_PATHNAME) == 0) return true;
  return false;
}

bool ImageFilter::matches_reference(const Image& image) const {
  if (values_of(filters_, "reference") == nullptr) return true;
  const auto kept = [&](const std::string& name) { return keeps(name); };
  return std::any_of(image.tags.begin(), image.tags.end(), kept) ||
         std::any_of(image.digests.begin(), image.digests.end(), kept);
}

std::vector<ImageSummary> ImageStore::summaries(bool all, const Filters& filters, bool shared_size) const {
  const ImageFilter filter(*impl_, filters);
  const auto images = impl_->index.all();
  std::map<Digest, int> users;  // chain id → images that stand on it
  std::set<Digest> parents;
  for (const Image& image : images) {
    for (const Digest& chain : image.chain_ids) ++users[chain];
    if (image.parent) parents.insert(*image.parent);
  }
  std::vector<ImageSummary> out;
  for (const Image& image : images) {
    if (!filter.matches(image)) continue;
    if (!all && image.tags.empty() && image.digests.empty() && parents.contains(image.id)) continue;  // intermediate
    ImageSummary summary;
    summary.id = image.id.str();
    if (image.parent) summary.parent_id = image.parent->str();
    // Of an image with several names, those that were asked for.
    for (const std::string& tag : image.tags)
      if (filter.keeps(tag)) summary.repo_tags.push_back(shown_name(tag));
    for (const std::string& digest : image.digests)
      if (filter.keeps(digest)) summary.repo_digests.push_back(shown_name(digest));
    summary.created = unix_seconds(impl_->index.created_of(image.id));
    summary.size = summary.virtual_size = image.size;
    summary.labels = impl_->config_of(image.id).config.labels;
    if (shared_size) {
      summary.shared_size = 0;
      for (const Digest& chain : image.chain_ids)
        if (users[chain] > 1)
          if (const auto layer = impl_->layers.find(chain))
            summary.shared_size += static_cast<std::int64_t>(layer->size);
    }
    out.push_back(std::move(summary));
  }
  std::stable_sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.created > b.created; });
  return out;
}

ImageInspect ImageStore::inspect(std::string_view ref) const {
  const Image image = impl_->resolve(ref);
  const auto config = impl_->config_of(image.id);
  ImageInspect out;
  out.id = image.id.str();
  out.repo_tags = shown_names(image.tags);
  out.repo_digests = shown_names(image.digests);
  if (image.parent) out.parent = image.parent->str();
  out.comment = config.comment;
  if (out.comment.empty() && !config.history.empty()) out.comment = config.history.back().comment;
  out.created = config.created.empty() ? std::string(kZeroTime) : config.created;
  out.container = config.container;
  out.container_config = config.container_config.value_or(oci::RunConfig{});
  out.docker_version = config.docker_version;
  out.author = config.author;
  out.config = config.config;
  out.architecture = config.architecture;
  out.variant = config.variant;
  out.os = config.os;
  out.os_version = config.os_version;
  out.size = out.virtual_size = image.size;
  out.graph_driver.name = impl_->snapshots.name();
  if (image.top) {
    std::string lower;
    for (const auto& layer : impl_->layers.chain(*image.top)) {
      const std::string path = impl_->layers.path_of(layer.chain);
      if (layer.chain == *image.top)
        out.graph_driver.data["UpperDir"] = path;
      else
        lower += (lower.empty() ? "" : ":") + path;
    }
    if (!lower.empty()) out.graph_driver.data["LowerDir"] = lower;
  }
  for (const Digest& diff_id : config.rootfs.diff_ids) out.rootfs.layers.push_back(diff_id.str());
  out.metadata.last_tag_time = image.last_tagged.empty() ? std::string(kZeroTime) : image.last_tagged;
  return out;
}

std::vector<HistoryItem> ImageStore::history(std::string_view ref) const {
  const Image image = impl_->resolve(ref);
  const auto config = impl_->config_of(image.id);
  std::vector<HistoryItem> out;
  std::size_t layer = 0;
  for (const auto& entry : config.history) {
    HistoryItem item;
    item.id = "<missing>";
    item.created = unix_seconds(entry.created);
    item.created_by = entry.created_by;
    item.comment = entry.comment;
    if (!entry.empty_layer && layer < image.chain_ids.size())
      if (const auto info = impl_->layers.find(image.chain_ids[layer++]))
        item.size = static_cast<std::int64_t>(info->size);
    out.push_back(std::move(item));
  }
  std::reverse(out.begin(), out.end());
  // The image itself, and what it was made from here, have ids; the rest came from elsewhere.
  std::optional<Image> current = image;
  for (std::size_t i = 0; i < out.size() && current; ++i) {
    out[i].id = current->id.str();
    if (!current->tags.empty()) out[i].tags = shown_names(current->tags);
    if (!current->parent) break;
    const auto parent = impl_->index.find(*current->parent);
    if (!parent) break;
    const std::size_t below = impl_->config_of(parent->id).history.size();
    const std::size_t upto = out.size() > below ? out.size() - below : 0;
    if (upto <= i) break;
    i = upto - 1;
    current = parent;
  }
  return out;
}

}  // namespace bryo::images
