// What may follow an option: how its text is checked, and what it becomes in a JSON request. One constant per kind; the
// option tables point at them.
#pragma once

#include <string>

#include "base/json.hpp"

namespace bryo::cli {

struct ValueKind {
  enum class Shape {
    scalar,  // the last one counts
    list,    // every one is appended
    map,     // every one is an object to merge
  };
  // Shown by --help after the option; empty for switches, which take no value.
  const char* type;
  Shape shape;
  // Text → JSON; throws Error{invalid_argument} with Docker's complaint.
  json::Value (*convert)(const std::string& text);
  // The complaint is about the command ("docker: …"), not about the flag ("invalid argument … for …").
  bool late = false;
};

extern const ValueKind kFlag;  // true, false, 1, 0 …
extern const ValueKind kText;
extern const ValueKind kInteger;  // signed, 64 bits
extern const ValueKind kUint16;
extern const ValueKind kBytes;      // 64m
extern const ValueKind kSwapBytes;  // 64m or -1
extern const ValueKind kCpus;       // 1.5 → 1500000000
extern const ValueKind kDuration;   // 1m30s → nanoseconds
extern const ValueKind kList;
extern const ValueKind kCsv;          // a,b: several at once
extern const ValueKind kPairs;        // key=value, key
extern const ValueKind kStrictPairs;  // key=value only, checked late
extern const ValueKind kLabel;
extern const ValueKind kEnv;
extern const ValueKind kStream;  // stdin, stdout, stderr
extern const ValueKind kIpAddress;
extern const ValueKind kDnsSearch;
extern const ValueKind kLink;
extern const ValueKind kHostEntry;  // name:address
extern const ValueKind kUlimit;
extern const ValueKind kSysctl;
extern const ValueKind kTmpfs;
extern const ValueKind kDevice;
extern const ValueKind kDeviceRule;
extern const ValueKind kThrottleBytes;
extern const ValueKind kThrottleCount;
extern const ValueKind kWeightDevice;
extern const ValueKind kMount;
extern const ValueKind kNetwork;
extern const ValueKind kFilter;  // name=value

// Go's strconv words: `strconv.ParseInt: parsing "x": invalid syntax`.
std::int64_t parse_go_integer(const std::string& text, const char* function = "ParseInt");
bool is_ip_address(const std::string& text);
// 92:d0:c6:0a:29:33
bool is_mac_address(const std::string& text);

}  // namespace bryo::cli
