// The host that this process runs on.
#pragma once

#include <map>

#include "rootless/doctor/host.hpp"

namespace bryo::rootless::doctor {

class RealHost final : public Host {
 public:
  // `data_root` empty: bryod's default, or what its configuration file says.
  explicit RealHost(std::string data_root);

  Standing standing() const override { return standing_; }
  const ids::User& user() const override { return user_; }
  std::string home() const override;
  std::string data_root() const override { return data_root_; }
  std::string program_directory() const override { return program_directory_; }
  std::string variable(const std::string& name) const override;
  std::optional<std::string> text(const std::string& path) const override;
  std::optional<FileFacts> file(const std::string& path) const override;
  bool writable(const std::string& path) const override;
  FilesystemFacts filesystem(const std::string& path) const override;
  std::optional<std::string> find_program(const std::string& name) const override;
  SubordinateFacts subordinate(ids::IdKind kind, const ids::User& user) const override;
  std::optional<ids::User> account(const std::string& name) const override;
  std::optional<SocketOwner> socket_owner(const std::string& path) const override;
  std::string kernel_release() const override;
  const Outcome& attempt(Attempt what) const override;

 private:
  Outcome make(Attempt what) const;
  // What bryod does before it can make mounts and networks.
  void enter_namespaces() const;
  std::string configured_data_root() const;

  Standing standing_;
  ids::User user_;
  std::string program_directory_;
  std::string data_root_;
  mutable std::map<Attempt, Outcome> outcomes_;
};

}  // namespace bryo::rootless::doctor
