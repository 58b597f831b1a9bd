// One listening socket of a published port, as the parent tells the helper (link.hpp).
#pragma once

#include <cstdint>
#include <string>

#include "base/json.hpp"

namespace bryo::rootless::command {

struct Forward {
  int id = 0;           // of the published port; several sockets may have the same
  bool tcp = true;      // else udp
  std::string address;  // in the command's network namespace
  std::uint16_t port = 0;
};

}  // namespace bryo::rootless::command

template <>
struct bryo::json::Fields<bryo::rootless::command::Forward> {
  using Forward = bryo::rootless::command::Forward;
  static constexpr auto list = std::tuple{field("id", &Forward::id), field("tcp", &Forward::tcp),
                                          field("address", &Forward::address), field("port", &Forward::port)};
};
