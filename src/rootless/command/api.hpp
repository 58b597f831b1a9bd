// rootlesskit's REST API, version 1.1.1 (its docs/api.md): what is answered to a request.
//   GET /v1/info   GET, POST /v1/ports   DELETE /v1/ports/ID
#pragma once

#include <sys/types.h>

#include <string>

#include "rootless/command/helper.hpp"
#include "rootless/command/http_codec.hpp"
#include "rootless/command/options.hpp"
#include "rootless/command/ports.hpp"

namespace bryo::rootless::command {

struct ApiFacts {
  std::string state_directory;
  pid_t child = 0;
  NetworkState network;
};

class Api {
 public:
  Api(const Options& options, ApiFacts facts, Ports& ports)
      : options_(options), facts_(std::move(facts)), ports_(ports) {}
  // Never throws Error: it becomes the reply {"message": …}.
  HttpReply answer(const HttpRequest& request);

 private:
  HttpReply dispatch(const HttpRequest& request);
  std::string info() const;

  const Options& options_;
  ApiFacts facts_;
  Ports& ports_;
};

}  // namespace bryo::rootless::command
