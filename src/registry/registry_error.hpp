// What a registry's refusal is called (distribution-spec, "Error Codes"), in the words of Docker's client.
#pragma once

#include <string>
#include <string_view>

#include "base/error.hpp"
#include "registry/http.hpp"

namespace bryo::registry {

// Codes that decide how an operation goes on.
enum class RefusalCode { none, denied, unauthorized, manifest_unknown, name_unknown, blob_unknown, too_many, other };

struct Refusal {
  RefusalCode code = RefusalCode::none;
  ErrorKind kind = ErrorKind::unavailable;
  std::string text;  // "manifest unknown: manifest unknown", "received unexpected HTTP status: 500 …"
};

// Reads (at most 64 KiB of) the body.
Refusal read_refusal(HttpResponse& response);
// "<context>: <text>"; without context the text alone.
Error registry_error(HttpResponse& response, std::string_view context = "");

}  // namespace bryo::registry
