// docker rmi and docker image prune: which names go, whether the image goes with them, and who forbids it.
#include <algorithm>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "base/time.hpp"
#include "images/image_list.hpp"
#include "images/image_store_impl.hpp"

namespace bryo::images {
namespace {

std::string repository_of(const std::string& full_name) {
  const auto reference = Reference::try_parse(full_name);
  return reference ? reference->name() : full_name;
}

const ImageUser* user_of(const std::vector<ImageUser>& users, const Digest& id, bool running) {
  for (const ImageUser& user : users)
    if (user.image == id && user.running == running) return &user;
  return nullptr;
}

[[noreturn]] void conflict(const Digest& id, bool hard, const std::string& why) {
  fail(ErrorKind::conflict, "conflict: unable to delete {} ({}) - {}", id.short_id(),
       hard ? "cannot be forced" : "must be forced", why);
}

}  // namespace

// One removal, with the records that it leaves behind.
class Removal {
 public:
  Removal(ImageStore::Impl& impl, bool force, bool prune, std::vector<ImageUser> users)
      : impl_(impl), force_(force), prune_(prune), users_(std::move(users)) {}

  void run(std::string_view ref) {
    const Image image = impl_.resolve(ref);
    const auto reference = Reference::try_parse(ref);
    std::optional<std::string> name;
    if (reference) {
      const auto wanted =
          reference->digest() ? reference->with_digest(*reference->digest()) : reference->with_default_tag();
      if (impl_.index.named(wanted.str()) == image.id) name = wanted.str();
    }
    if (name)
      by_name(image, *name);
    else
      by_id(image);
  }

  std::vector<Removed> removed;

 private:
  void by_name(const Image& image, const std::string& name) {
    const bool is_tag = name.find('@') == std::string::npos;
    if (is_single(image) && !force_) {
      const ImageUser* user = user_of(users_, image.id, true);
      if (user == nullptr) user = user_of(users_, image.id, false);
      if (user != nullptr)
        fail(ErrorKind::conflict,
             "conflict: unable to remove repository reference \"{}\" (must force) - container {} is using its "
             "referenced "
             "image {}",
             shown_name(name), user->container_id.substr(0, 12), image.id.short_id());
    }
    std::vector<std::string> names = {name};
    // With the last tag of a repository its digests go, too.
    const bool repository_gone = std::none_of(image.tags.begin(), image.tags.end(), [&](const std::string& tag) {
      return tag != name && repository_of(tag) == repository_of(name);
    });
    if (is_tag && repository_gone)
      for (const std::string& digest : image.digests)
        if (repository_of(digest) == repository_of(name)) names.push_back(digest);
    untag(names);
    if (names.size() == image.tags.size() + image.digests.size()) try_delete(image, true, force_);
  }

  void by_id(const Image& image) {
    std::vector<std::string> names = image.tags;
    names.insert(names.end(), image.digests.begin(), image.digests.end());
    check(image, false, force_);
    if (!is_single(image) && !force_) conflict(image.id, false, "image is referenced in multiple repositories");
    if (!names.empty()) untag(names);
    remove(image);
  }

  // One name at most, or one tag with digests of the same repository.
  static bool is_single(const Image& image) {
    if (image.tags.size() + image.digests.size() <= 1) return true;
    if (image.tags.size() > 1) return false;
    const std::string repository = repository_of(image.tags.empty() ? image.digests.front() : image.tags.front());
    return std::all_of(image.digests.begin(), image.digests.end(),
                       [&](const std::string& digest) { return repository_of(digest) == repository; });
  }

  void untag(const std::vector<std::string>& names) {
    impl_.index.unname(names);
    for (const std::string& name : names) removed.push_back({shown_name(name), ""});
  }

  // Throws the conflict, unless `quiet`: then says whether there is one.
  bool check(const Image& image, bool quiet, bool force) {
    const auto refuse = [&](bool hard, const std::string& why) {
      if (!quiet) conflict(image.id, hard, why);
      return false;
    };
    if (const ImageUser* user = user_of(users_, image.id, true))
      return refuse(true, "image is being used by running container " + user->container_id.substr(0, 12));
    if (!impl_.children_of(image.id).empty()) return refuse(true, "image has dependent child images");
    if (const ImageUser* user = user_of(users_, image.id, false); user != nullptr && !force)
      return refuse(false, "image is being used by stopped container " + user->container_id.substr(0, 12));
    return true;
  }

  void try_delete(const Image& image, bool quiet, bool force) {
    if (check(image, quiet, force)) remove(image);
  }

  void remove(const Image& image) {
    impl_.index.erase(image.id);
    removed.push_back({"", image.id.str()});
    note_layers(image);
    if (!prune_ || !image.parent) return;
    const auto parent = impl_.index.find(*image.parent);
    if (parent && parent->tags.empty() && parent->digests.empty()) try_delete(*parent, true, false);
  }

  // The layers that nobody else stands on, top first, as Docker lists them.
  void note_layers(const Image& image) {
    const auto others = impl_.index.all();
    for (auto chain = image.chain_ids.rbegin(); chain != image.chain_ids.rend(); ++chain) {
      const bool shared = std::any_of(others.begin(), others.end(), [&](const Image& other) {
        return std::find(other.chain_ids.begin(), other.chain_ids.end(), *chain) != other.chain_ids.end();
      });
      if (shared) return;
      removed.push_back({"", chain->str()});
    }
  }

  ImageStore::Impl& impl_;
  bool force_;
  bool prune_;
  std::vector<ImageUser> users_;
};

std::vector<Removed> ImageStore::remove(std::string_view ref, bool force, bool no_prune, const ImageUsers& users) {
  std::vector<Removed> out;
  {
    std::lock_guard lock(impl_->change);
    Removal removal(*impl_, force, !no_prune, users());
    removal.run(ref);
    out = std::move(removal.removed);
  }
  collect_garbage();
  return out;
}

PruneResult ImageStore::prune(const Filters& filters, const ImageUsers& users) {
  // Here dangling=false asks for more than the dangling ones, not for others.
  Filters rest = filters;
  rest.erase("dangling");
  const ImageFilter filter(*impl_, rest);
  const auto dangling_value = filters.find("dangling");
  const bool dangling_only = dangling_value == filters.end() || dangling_value->second.empty() ||
                             dangling_value->second.front() == "true" || dangling_value->second.front() == "1";
  PruneResult result;
  {
    std::lock_guard lock(impl_->change);
    const auto used = users();
    for (const Image& image : impl_->index.all()) {
      const bool in_use =
          std::any_of(used.begin(), used.end(), [&](const ImageUser& user) { return user.image == image.id; });
      if (in_use || !impl_->children_of(image.id).empty() || (dangling_only && !image.tags.empty())) continue;
      if (!filter.matches(image)) continue;
      Removal removal(*impl_, true, true, used);
      removal.run(image.id.str());
      for (const Removed& one : removal.removed) {
        const auto chain = Digest::try_parse(one.deleted);
        if (!chain) continue;
        if (const auto layer = impl_->layers.find(*chain)) result.reclaimed += layer->size;
      }
      result.removed.insert(result.removed.end(), removal.removed.begin(), removal.removed.end());
    }
  }
  collect_garbage();
  return result;
}

}  // namespace bryo::images
