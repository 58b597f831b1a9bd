// `docker create`: from a request to a stored container with a file system of its own, or to an error with nothing
// left.
#pragma once

#include "engine/services.hpp"

namespace bryo::engine {

class Creator {
 public:
  explicit Creator(Services& services) : s_(services) {}
  CreateResult create(const CreateRequest& request);

 private:
  Record make_record(const CreateRequest& request, std::vector<std::string>& warnings);
  void adopt_image(Record& record, const std::string& platform, std::vector<std::string>& warnings);
  std::vector<ResolvedMount> inherited_mounts(const HostConfig& host);
  void make_volumes(Record& record, const HostConfig& asked);
  void settle_idmaps(Record& record) const;
  void fill_volumes(Record& record);
  void show_what_it_stands_for(const storage::Volume& volume, ResolvedMount& mount) const;
  struct AccountTables {
    std::string passwd;
    std::string group;
  };
  AccountTables tables_of(const Digest& top) const;
  std::string userns_of(const Record& record, const std::optional<Digest>& top,
                        std::vector<std::string>& warnings) const;
  std::uint32_t ids_of_files(const Digest& top) const;
  void check_ids_of_image(const Record& record, const Digest& top) const;
  void check_modes(const Record& record, std::vector<std::string>& warnings);
  void store(const Record& record);

  Services& s_;
};

// Image's config under the container's own, as Docker merges: env, cmd and entrypoint, ports, volumes, labels, health
// check.
void merge_image_config(ContainerConfig& config, const oci::RunConfig& image);
ContainerConfig from_image_config(const oci::RunConfig& image);
oci::RunConfig to_image_config(const ContainerConfig& config);

}  // namespace bryo::engine
