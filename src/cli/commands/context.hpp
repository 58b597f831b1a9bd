// What a command works with: where the daemon is, the user's configuration, standard output and standard error. Made
// once by main; the daemon is not contacted before the first request.
#pragma once

#include <optional>
#include <string>

#include "cli/auth/config_file.hpp"
#include "cli/http/client.hpp"
#include "cli/options/option.hpp"
#include "cli/terminal/output.hpp"

namespace bryo::cli {

extern const OptionTable kGlobalOptions;

class Context {
 public:
  explicit Context(const Arguments& global);

  Client& client();
  ConfigFile& config();
  Output out;
  Output err;
  // The command as the user wrote it, for messages: "run", "container ls".
  std::string name;

 private:
  Endpoint choose_endpoint() const;
  TlsOptions choose_tls() const;

  const Arguments& global_;
  std::optional<ConfigFile> config_;
  std::optional<Client> client_;
};

}  // namespace bryo::cli
