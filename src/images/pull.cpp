#include "images/pull.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "images/pull_layers.hpp"
#include "images/pull_plan.hpp"

namespace bryo::images {

class Puller::Impl {
 public:
  Impl(registry::Client& client, storage::BlobStore& blobs, storage::LayerStore& layers, int max_downloads)
      : client_(client), blobs_(blobs), layers_(layers), parallel_(std::max(max_downloads, 1)), slots_(parallel_) {}

  PullResult pull(ImageStore& store, const PullRequest& request, const ProgressEvents& events,
                  const registry::Cancelled& cancelled);

 private:
  struct Job {
    ImageStore& store;
    const PullRequest& request;
    ProgressLines& progress;
    const registry::Cancelled& cancelled;
    Followers followers;
    std::shared_ptr<std::atomic<bool>> stop;
    registry::Repository repository;
  };

  PullResult pull_one(Job& job, const Reference& reference);
  // An image that is here: nothing to fetch but, it may be, a name.
  bool add_names(Job& job, const PullPlan& plan, const Reference& reference);
  void add_image(Job& job, PullPlan plan, const Reference& reference);

  registry::Client& client_;
  storage::BlobStore& blobs_;
  storage::LayerStore& layers_;
  const int parallel_;
  Slots slots_;
  LayerFlights flights_;
};

namespace {

std::vector<std::string> names_of(const Reference& reference, const PullPlan& plan) {
  std::vector<std::string> names;
  if (reference.tag() && !reference.digest()) names.push_back(reference.str());
  names.push_back(reference.with_digest(plan.top).str());
  return names;
}

// What is asked of the registry: the digest where there is one.
std::string wanted(const Reference& reference) {
  return reference.digest() ? reference.digest()->str() : reference.tag().value_or(std::string(kDefaultTag));
}

}  // namespace

bool Puller::Impl::add_names(Job& job, const PullPlan& plan, const Reference& reference) {
  const auto image = job.store.find_id(plan.parsed.config.digest);
  if (!image) return false;
  NewImage again;
  again.config = job.store.config_text(image->id);
  again.references = names_of(reference, plan);
  const bool all_here =
      std::ranges::all_of(plan.parsed.layers, [&](const oci::Descriptor& layer) { return blobs_.has(layer.digest); });
  again.manifest = all_here ? plan.manifest : job.store.manifest_text(*image);
  again.manifest_type = all_here ? plan.manifest_type : image->manifest.media_type;
  again.layers = all_here ? plan.parsed.layers : image->layers;
  job.store.add(std::move(again));
  return true;
}

void Puller::Impl::add_image(Job& job, PullPlan plan, const Reference& reference) {
  fetch_config(job.repository, job.request.platform, plan, reference.familiar());
  const PullLayersContext context{blobs_,       layers_,       flights_,      slots_,   job.repository,
                                  job.progress, job.cancelled, job.followers, job.stop, parallel_};
  const auto ingested = pull_layers(context, plan);
  NewImage image;
  image.references = names_of(reference, plan);
  image.config = std::move(plan.config);
  image.manifest = std::move(plan.manifest);
  image.manifest_type = std::move(plan.manifest_type);
  image.layers = std::move(plan.parsed.layers);
  // All of them: what was here already may belong to another pull that has not made it durable yet.
  for (const IngestedLayer& layer : ingested) {
    image.blobs.push_back(layer.blob);
    image.unpacked.push_back(layer.layer);
  }
  job.store.add(std::move(image));
}

PullResult Puller::Impl::pull_one(Job& job, const Reference& reference) {
  const std::string tag = wanted(reference);
  PullPlan plan = fetch_manifest(job.repository, tag, job.request.platform);
  // Nothing is said before: as long as nothing is, an error still has its HTTP status.
  job.progress.line(tag, "Pulling from " + reference.path());
  PullResult result{plan.top, plan.parsed.config.digest, true};
  const Reference name = reference.digest() ? reference.with_digest(plan.top) : reference;
  if (const auto old = job.store.find(name.str())) result.updated = old->id != result.image_id;
  const auto lease = job.store.lease();
  if (!add_names(job, plan, reference)) add_image(job, std::move(plan), reference);
  job.progress.line("", "Digest: " + result.digest.str());
  return result;
}

PullResult Puller::Impl::pull(ImageStore& store, const PullRequest& request, const ProgressEvents& events,
                              const registry::Cancelled& cancelled) {
  ProgressLines progress(events);
  const auto followers = std::make_shared<std::atomic<int>>(0);
  const auto stop = std::make_shared<std::atomic<bool>>(false);
  registry::RepositoryRequest access;
  access.domain = request.reference.domain();
  access.path = request.reference.path();
  access.shown_name = request.reference.familiar_name();
  access.credentials = request.credentials;
  access.cancelled = [cancelled, followers, stop] { return *followers == 0 && (*stop || (cancelled && cancelled())); };
  Job job{store, request, progress, cancelled, followers, stop, client_.repository(std::move(access))};
  std::vector<Reference> references;
  if (request.all_tags)
    for (const std::string& tag : job.repository.tags()) references.push_back(request.reference.with_tag(tag));
  else
    references.push_back(request.reference.with_default_tag());
  if (references.empty()) fail(ErrorKind::not_found, "repository {} has no tags", request.reference.familiar_name());
  PullResult result;
  bool updated = false;
  for (const Reference& reference : references) {
    result = pull_one(job, reference);
    updated = updated || result.updated;
  }
  result.updated = updated;
  const std::string shown = request.all_tags ? request.reference.familiar_name() : references[0].familiar();
  progress.line("", (updated ? "Status: Downloaded newer image for " : "Status: Image is up to date for ") + shown);
  return result;
}

Puller::Puller(registry::Client& client, storage::BlobStore& blobs, storage::LayerStore& layers, int max_downloads)
    : impl_(std::make_unique<Impl>(client, blobs, layers, max_downloads)) {}
Puller::~Puller() = default;

PullResult Puller::pull(ImageStore& store, const PullRequest& request, const ProgressEvents& progress,
                        const registry::Cancelled& cancelled) {
  return impl_->pull(store, request, progress, cancelled);
}

}  // namespace bryo::images
