// What a failed transfer is called. Private to http.cpp.
#pragma once

#include <curl/curl.h>

#include <string_view>

#include "registry/http.hpp"

namespace bryo::registry {

// In the words of Go's net/http, which Docker's users and tools know:
// Get "https://127.0.0.1:5000/v2/": dial tcp 127.0.0.1:5000: connect: connection refused
TransportError transport_error(const HttpRequest& request, CURL* easy, CURLcode code, std::string_view detail);
TransportError transport_error(const HttpRequest& request, Failure failure, std::string_view reason);

}  // namespace bryo::registry
