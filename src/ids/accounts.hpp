// Who is "bozo"? Users and groups of the host, through NSS (files, LDAP, systemd-userdb …).
//
// Accounts is the narrow seam that tests replace. NssAccounts is the real one; it may block for as long as NSS does and
// may be used from any thread. A failing NSS throws Error{unavailable}; an unknown name is nullopt.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bryo::ids {

struct User {
  std::string name;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
};

struct Group {
  std::string name;
  std::uint32_t gid = 0;
};

class Accounts {
 public:
  virtual ~Accounts() = default;
  virtual std::optional<User> user(std::string_view name) const = 0;
  virtual std::optional<User> user(std::uint32_t uid) const = 0;
  virtual std::optional<Group> group(std::string_view name) const = 0;
  virtual std::optional<Group> group(std::uint32_t gid) const = 0;
  // A system user and group of this name, without home, shell or password. Runs the host's useradd or adduser.
  virtual User create_system_user(std::string_view name) = 0;
};

class NssAccounts final : public Accounts {
 public:
  std::optional<User> user(std::string_view name) const override;
  std::optional<User> user(std::uint32_t uid) const override;
  std::optional<Group> group(std::string_view name) const override;
  std::optional<Group> group(std::uint32_t gid) const override;
  User create_system_user(std::string_view name) override;
};

}  // namespace bryo::ids
