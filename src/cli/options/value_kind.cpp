#include "cli/options/value_kind.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>

#include "base/strings.hpp"
#include "base/time.hpp"
#include "cli/format/units.hpp"
#include "cli/options/csv.hpp"

namespace bryo::cli {
namespace {

using json::Value;
using Shape = ValueKind::Shape;

[[noreturn]] void refuse(std::string message) { throw Error(ErrorKind::invalid_argument, std::move(message)); }

Value flag(const std::string& text) {
  for (const char* yes : {"1", "t", "T", "true", "TRUE", "True"})
    if (text == yes) return Value(true);
  for (const char* no : {"0", "f", "F", "false", "FALSE", "False"})
    if (text == no) return Value(false);
  refuse(fmt::format("strconv.ParseBool: parsing \"{}\": invalid syntax", printable(text)));
}

Value plain(const std::string& text) { return Value(text); }
Value integer(const std::string& text) { return Value(parse_go_integer(text)); }

Value uint16(const std::string& text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc() && end == text.data() + text.size() && number <= 65535)
    return Value(static_cast<std::int64_t>(number));
  const bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
  refuse(fmt::format("strconv.ParseUint: parsing \"{}\": {}", printable(text),
                     digits ? "value out of range" : "invalid syntax"));
}

Value bytes(const std::string& text) {
  const auto size = parse_binary_size(text);
  if (!size) refuse(binary_size_complaint(text));
  return Value(*size);
}

Value swap_bytes(const std::string& text) { return text == "-1" ? Value(std::int64_t{-1}) : bytes(text); }

// Decimal digits only, exactly: 1.5 is 1 500 000 000 and 0.0000000001 is refused.
Value cpus(const std::string& text) {
  const auto complain = [&] { refuse(fmt::format("failed to parse {} as a rational number", printable(text))); };
  const auto parts = split_once(text, '.').value_or(std::pair<std::string_view, std::string_view>{text, ""});
  std::string_view fraction = parts.second;
  if (parts.first.empty() && fraction.empty()) complain();
  constexpr std::string_view digits = "0123456789";
  if (fraction.find_first_not_of(digits) != std::string_view::npos) complain();
  while (fraction.ends_with('0')) fraction.remove_suffix(1);
  if (fraction.size() > 9) refuse("value is too precise");
  std::int64_t whole = 0;
  if (!parts.first.empty()) {
    const auto number = parse_integer<std::int64_t>(parts.first);
    if (!number || *number > 1'000'000 || *number < -1'000'000) complain();
    whole = *number;
  }
  std::string padded(fraction);
  padded.resize(9, '0');
  return Value(whole * 1'000'000'000 + *parse_integer<std::int64_t>(padded));
}

Value duration(const std::string& text) {
  const auto parsed = parse_duration(text);
  if (!parsed) refuse(fmt::format("time: invalid duration \"{}\"", printable(text)));
  return Value(static_cast<std::int64_t>(parsed->count()));
}

Value csv(const std::string& text) {
  json::Array out;
  for (const std::string& piece : split_csv(text)) out.push_back(Value(piece));
  return out;
}

Value one_pair(std::string_view key, std::string_view value) {
  json::Object out;
  out.emplace(boost::json::string_view(key.data(), key.size()), boost::json::string_view(value.data(), value.size()));
  return out;
}

Value pairs(const std::string& text) {
  const auto parts = split_once(text, '=');
  return parts ? one_pair(parts->first, parts->second) : one_pair(text, "");
}

Value strict_pairs(const std::string& text) {
  const auto parts = split_once(text, '=');
  if (!parts) refuse("invalid storage option");
  return one_pair(parts->first, parts->second);
}

Value label(const std::string& text) {
  if (text.empty() || text[0] == '=') refuse(fmt::format("invalid label '{}': empty name", printable(text)));
  return pairs(text);
}

Value env(const std::string& text) {
  if (text.empty() || text[0] == '=') refuse("invalid environment variable: " + printable(text));
  if (text.find('=') != std::string::npos) return Value(text);
  // A bare name takes the caller's value; without one it asks the daemon to remove the image's.
  const char* value = std::getenv(text.c_str());
  return Value(value == nullptr ? text : text + "=" + value);
}

Value stream(const std::string& text) {
  const std::string name = to_lower(text);
  if (name != "stdin" && name != "stdout" && name != "stderr") refuse("valid streams are STDIN, STDOUT and STDERR");
  return Value(name);
}

Value ip_address(const std::string& text) {
  const std::string address(trim(text));
  if (!is_ip_address(address)) refuse("IP address is not correctly formatted: " + printable(text));
  return Value(address);
}

Value dns_search(const std::string& text) {
  const std::string domain(trim(text));
  if (domain == ".") return Value(domain);
  for (const char c : domain) {
    const bool plain_letter = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!plain_letter && c != '-' && c != '.' && c != '_') refuse(printable(text) + " is not a valid domain");
  }
  if (domain.empty() || domain.size() > 254) refuse(printable(text) + " is not a valid domain");
  return Value(domain);
}

Value link(const std::string& text) {
  if (text.empty()) refuse("empty string specified for links");
  if (split(text, ':').size() > 2) refuse("bad format for links: " + printable(text));
  return Value(text);
}

// "name:address" or "name=address"; the address may be IPv6, in brackets or not, or host-gateway.
Value host_entry(const std::string& text) {
  const auto at = text.find_first_of(":=");
  if (at == std::string::npos || at == 0) refuse(fmt::format("bad format for add-host: \"{}\"", printable(text)));
  std::string address = text.substr(at + 1);
  if (address == "host-gateway") return Value(text.substr(0, at) + ":" + address);
  if (address.size() > 2 && address.front() == '[' && address.back() == ']')
    address = address.substr(1, address.size() - 2);
  if (!is_ip_address(address)) refuse(fmt::format("invalid IP address in add-host: \"{}\"", printable(address)));
  return Value(text.substr(0, at) + ":" + address);
}

constexpr std::array<std::string_view, 15> kUlimitNames = {"core",    "cpu",      "data",   "fsize",      "locks",
                                                           "memlock", "msgqueue", "nice",   "nofile",     "nproc",
                                                           "rss",     "rtprio",   "rttime", "sigpending", "stack"};

Value ulimit(const std::string& text) {
  const auto parts = split_once(text, '=');
  if (!parts) refuse("invalid ulimit argument: " + printable(text));
  if (std::find(kUlimitNames.begin(), kUlimitNames.end(), parts->first) == kUlimitNames.end())
    refuse("invalid ulimit type: " + printable(parts->first));
  const auto limits = split_once(parts->second, ':');
  const std::int64_t soft = parse_go_integer(std::string(limits ? limits->first : parts->second));
  const std::int64_t hard = limits ? parse_go_integer(std::string(limits->second)) : soft;
  constexpr const char* order = "ulimit soft limit must be less than or equal to hard limit: ";
  if (hard != -1 && soft == -1) refuse(fmt::format("{}soft: -1 (unlimited), hard: {}", order, hard));
  if (hard != -1 && soft > hard) refuse(fmt::format("{}{} > {}", order, soft, hard));
  return json::Object{{"Name", std::string(parts->first)}, {"Soft", soft}, {"Hard", hard}};
}

Value sysctl(const std::string& text) {
  constexpr std::array<std::string_view, 8> names = {"kernel.msgmax", "kernel.msgmnb",         "kernel.msgmni",
                                                     "kernel.sem",    "kernel.shmall",         "kernel.shmmax",
                                                     "kernel.shmmni", "kernel.shm_rmid_forced"};
  const auto parts = split_once(text, '=');
  const bool known = parts && (std::find(names.begin(), names.end(), parts->first) != names.end() ||
                               parts->first.starts_with("net.") || parts->first.starts_with("fs.mqueue."));
  if (!known) refuse(fmt::format("sysctl '{}' is not allowed", printable(text)));
  return one_pair(parts->first, parts->second);
}

Value tmpfs(const std::string& text) {
  const auto parts = split_once(text, ':');
  return parts ? one_pair(parts->first, parts->second) : one_pair(text, "");
}

Value filter(const std::string& text) {
  const auto parts = split_once(text, '=');
  if (!parts) refuse(fmt::format("invalid filter '{}'", printable(text)));
  return one_pair(to_lower(trim(parts->first)), trim(parts->second));
}

}  // namespace

const ValueKind kFlag = {"", Shape::scalar, flag};
const ValueKind kText = {"string", Shape::scalar, plain};
const ValueKind kInteger = {"int", Shape::scalar, integer};
const ValueKind kUint16 = {"uint16", Shape::scalar, uint16};
const ValueKind kBytes = {"bytes", Shape::scalar, bytes};
const ValueKind kSwapBytes = {"bytes", Shape::scalar, swap_bytes};
const ValueKind kCpus = {"decimal", Shape::scalar, cpus};
const ValueKind kDuration = {"duration", Shape::scalar, duration};
const ValueKind kList = {"list", Shape::list, plain};
const ValueKind kCsv = {"strings", Shape::list, csv};
const ValueKind kPairs = {"map", Shape::map, pairs, true};
const ValueKind kStrictPairs = {"list", Shape::map, strict_pairs, true};
const ValueKind kLabel = {"list", Shape::map, label};
const ValueKind kEnv = {"list", Shape::list, env};
const ValueKind kStream = {"list", Shape::list, stream};
const ValueKind kIpAddress = {"list", Shape::list, ip_address};
const ValueKind kDnsSearch = {"list", Shape::list, dns_search};
const ValueKind kLink = {"list", Shape::list, link};
const ValueKind kHostEntry = {"list", Shape::list, host_entry};
const ValueKind kUlimit = {"ulimit", Shape::list, ulimit};
const ValueKind kSysctl = {"map", Shape::map, sysctl};
const ValueKind kTmpfs = {"list", Shape::map, tmpfs};
const ValueKind kFilter = {"filter", Shape::map, filter};

std::int64_t parse_go_integer(const std::string& text, const char* function) {
  std::string_view digits = text;
  if (digits.starts_with('+')) digits.remove_prefix(1);
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error == std::errc::result_out_of_range)
    refuse(fmt::format("strconv.{}: parsing \"{}\": value out of range", function, printable(text)));
  if (error != std::errc() || end != digits.data() + digits.size())
    refuse(fmt::format("strconv.{}: parsing \"{}\": invalid syntax", function, printable(text)));
  return number;
}

bool is_ip_address(const std::string& text) {
  std::array<unsigned char, 16> address{};
  return ::inet_pton(AF_INET, text.c_str(), address.data()) == 1 ||
         ::inet_pton(AF_INET6, text.c_str(), address.data()) == 1;
}

bool is_mac_address(const std::string& text) {
  constexpr std::size_t length = 17;
  if (text.size() != length) return false;
  for (std::size_t i = 0; i < length; ++i) {
    const bool separator = i % 3 == 2;
    if (separator ? text[i] != ':' && text[i] != '-'
                  : std::string_view("0123456789abcdefABCDEF").find(text[i]) == std::string_view::npos)
      return false;
  }
  return true;
}

}  // namespace bryo::cli
