// Images as use cases: lists, tags, pulls, pushes, commits. Progress goes out as the lines of Docker's JSON streams.
#pragma once

#include "base/bytes.hpp"
#include "engine/lifecycle.hpp"
#include "images/pull.hpp"
#include "images/push.hpp"

namespace bryo::engine {

class ImageUses {
 public:
  ImageUses(Services& services, Lifecycle& lifecycle);

  json::Value list(bool all, const Filters& filters, bool shared_size);
  json::Value inspect(std::string_view ref);
  json::Value history(std::string_view ref);
  void tag(std::string_view ref, std::string_view repository, std::string_view tag);
  json::Value remove(std::string_view ref, bool force, bool no_prune);
  json::Value prune(const Filters& filters);
  void pull(std::string_view image, std::string_view tag, std::string_view platform, const RegistryAuth& auth,
            const ProgressSink& progress, const Cancelled& cancelled);
  void push(std::string_view image, std::string_view tag, const RegistryAuth& auth, const ProgressSink& progress,
            const Cancelled& cancelled);
  std::string import(std::string_view repository, std::string_view tag, std::string_view message,
                     const std::vector<std::string>& changes, std::string_view platform, ByteSource& source);
  void save(const std::vector<std::string>& refs, ByteSink& sink);
  void load(ByteSource& source, bool quiet, const ProgressSink& progress);
  std::string commit(const ContainerPtr& container, const CommitRequest& request);
  json::Value distribution(std::string_view ref, const RegistryAuth& auth);
  json::Value login(const RegistryAuth& auth);
  json::Value registry_config() const { return client_.describe(); }
  void reload(const Options& options);
  // Size on disk and number of users of every image, for system df.
  json::Value disk_usage();

 private:
  bool pause_for_commit(const ContainerPtr& container, const std::string& id);
  json::Value ask_distribution(std::string_view ref, const RegistryAuth& auth);
  std::vector<images::ImageUser> users();

  Services& s_;
  Lifecycle& lifecycle_;
  registry::Client client_;
  images::Puller puller_;
  images::Pusher pusher_;
};

// Dockerfile instructions of --change applied to a config: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, STOPSIGNAL,
// USER, VOLUME, WORKDIR, HEALTHCHECK NONE. Error{invalid_argument} for others.
void apply_change(oci::RunConfig& config, std::string_view instruction);

}  // namespace bryo::engine
