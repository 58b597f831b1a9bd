// Which numbers are taken? A set of 128-bit numbers kept as ranges, so that a full /16 costs one node. Not thread-safe.
#pragma once

#include <map>
#include <optional>

#include "kernel/sockets_address.hpp"

namespace bryo::network {

class IntervalSet {
 public:
  using Number = kernel::Uint128;

  bool contains(Number value) const {
    const auto range = range_of(value);
    return range != ranges_.end();
  }

  // false: was there already.
  bool insert(Number value) {
    if (contains(value)) return false;
    auto next = ranges_.upper_bound(value);
    Number first = value;
    Number last = value;
    if (next != ranges_.end() && value + 1 == next->first) {
      last = next->second;
      next = ranges_.erase(next);
    }
    if (next != ranges_.begin()) {
      const auto before = std::prev(next);
      if (before->second + 1 == value) {
        first = before->first;
        ranges_.erase(before);
      }
    }
    ranges_[first] = last;
    return true;
  }

  // false: was not there.
  bool erase(Number value) {
    const auto range = range_of(value);
    if (range == ranges_.end()) return false;
    const Number first = range->first;
    const Number last = range->second;
    ranges_.erase(range);
    if (first < value) ranges_[first] = value - 1;
    if (value < last) ranges_[value + 1] = last;
    return true;
  }

  // Lowest number of [first, last] that is not in the set.
  std::optional<Number> lowest_free(Number first, Number last) const {
    const auto range = range_of(first);
    if (range == ranges_.end()) return first;
    // Ranges never touch each other, so the number after one is free.
    if (range->second >= last) return std::nullopt;
    return range->second + 1;
  }

 private:
  using Ranges = std::map<Number, Number>;
  Ranges::const_iterator range_of(Number value) const {
    auto next = ranges_.upper_bound(value);
    if (next == ranges_.begin()) return ranges_.end();
    const auto range = std::prev(next);
    return value <= range->second ? range : ranges_.end();
  }

  Ranges ranges_;  // first → last, inclusive
};

}  // namespace bryo::network
