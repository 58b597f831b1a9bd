#include "ids/range_allocator.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "base/error.hpp"

namespace bryo::ids {
namespace {

using testing::HasSubstr;

class FakeJournal final : public RangeJournal {
 public:
  RangeCursor cursor;
  RangeCursor load() override { return cursor; }
  void save(const RangeCursor& next) override { cursor = next; }
};

AutoOptions sized(std::uint32_t size) {
  AutoOptions options;
  options.size = size;
  return options;
}

RangeAllocator::Pool pool_of(std::vector<SubRange> ranges) { return {"bryo", ranges, ranges}; }

std::string message_of(const auto& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.message();
  }
  return "nothing was thrown";
}

TEST(AutoOptions, Parse) {
  EXPECT_FALSE(AutoOptions::parse("host"));
  EXPECT_FALSE(AutoOptions::parse("automatic"));
  EXPECT_FALSE(AutoOptions::parse("auto").value().size);
  EXPECT_EQ(AutoOptions::parse("auto:size=65536").value().size, 65536U);
  const auto full = AutoOptions::parse("auto:size=10,uidmapping=0:1000:1,gidmapping=5:1001:2").value();
  EXPECT_EQ(full.uid_mappings.at(0), (IdRange{ContainerId{0}, HostId{1000}, 1}));
  EXPECT_EQ(full.gid_mappings.at(0), (IdRange{ContainerId{5}, HostId{1001}, 2}));
  for (const char* text : {"auto:", "auto:size", "auto:size=0", "auto:size=-1", "auto:size=4294967296", "auto:x=1",
                           "auto:uidmapping=1:2", "auto:uidmapping=0:0:1", "auto:size=1,"})
    EXPECT_THROW(AutoOptions::parse(text), Error) << text;
}

TEST(NeededIds, CountsWhatTheImageNames) {
  EXPECT_EQ(needed_ids("", "", ""), 1024U);
  EXPECT_EQ(needed_ids("root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:\n", "nogroup:x:65534:\n", ""), 1024U);
  EXPECT_EQ(needed_ids("_apt:x:100:65534::/:\n", "", ""), 1024U);
  EXPECT_EQ(needed_ids("app:x:1023:100::/:\n", "", ""), 1024U);
  EXPECT_EQ(needed_ids("app:x:1024:100::/:\n", "", ""), 2048U);
  EXPECT_EQ(needed_ids("app:x:1:5000::/:\n", "", ""), 5120U);
  EXPECT_EQ(needed_ids("", "big:x:3000:\n", ""), 3072U);
  EXPECT_EQ(needed_ids("", "", "2000:1"), 2048U);
  EXPECT_EQ(needed_ids("", "", "1:2048"), 3072U);
  EXPECT_EQ(needed_ids("nobody:x:65534:65534::/:\n", "", "nobody"), 1024U);
  EXPECT_EQ(needed_ids("evil:x:4294967294:0::/:\n", "", ""), kAutoLimit);
  EXPECT_EQ(needed_ids("evil:x:99999999999:0\n:::\n\n::::::", "", "x"), 1024U);
}

TEST(RangeAllocator, NoTwoContainersShareAnIdEver) {
  FakeJournal journal;
  RangeAllocator allocator(pool_of({{HostId{1000000}, 100000}}), {}, {}, journal);
  std::mt19937 random(3);
  std::vector<std::pair<std::string, IdMaps>> live;
  for (int round = 0; round < 3000; ++round) {
    if (live.size() > 60 || (!live.empty() && random() % 3 == 0)) {
      const auto victim = random() % live.size();
      allocator.release(live[victim].first);
      live.erase(live.begin() + static_cast<std::ptrdiff_t>(victim));
      continue;
    }
    const std::string name = std::to_string(round);
    const IdMaps maps = random() % 2 == 0 ? allocator.allocate(name, 1024, {})
                                          : allocator.allocate(name, 0, sized(random() % 1500 + 1));
    for (const auto& [other, taken] : live) {
      ASSERT_FALSE(taken.uid.overlaps_host(maps.uid)) << round;
      ASSERT_FALSE(taken.gid.overlaps_host(maps.gid)) << round;
    }
    live.emplace_back(name, maps);
  }
  for (const auto& [name, maps] : live) allocator.release(name);
  EXPECT_EQ(allocator.free(), allocator.total());
}

TEST(RangeAllocator, AutomaticSizeAlsoMapsNobody) {
  FakeJournal journal;
  RangeAllocator allocator(pool_of({{HostId{1000000}, 100000}}), {}, {}, journal);
  EXPECT_EQ(allocator.allocate("a", 1024, {}).uid.proc_text(), "0 1000000 1024\n65534 1001024 1\n");
  EXPECT_EQ(allocator.allocate("b", 1024, sized(65536)).uid.proc_text(), "0 1001025 65536\n");
}

TEST(RangeAllocator, FreedIdsAreUsedAgainAsLateAsPossible) {
  FakeJournal journal;
  RangeAllocator allocator(pool_of({{HostId{1000}, 40}}), {}, {}, journal);
  const auto first = allocator.allocate("a", 0, sized(10));
  allocator.release("a");
  EXPECT_EQ(allocator.allocate("b", 0, sized(10)).root_uid(), HostId{1010});
  EXPECT_EQ(allocator.allocate("c", 0, sized(10)).root_uid(), HostId{1020});
  EXPECT_EQ(allocator.allocate("d", 0, sized(10)).root_uid(), HostId{1030});
  EXPECT_EQ(allocator.allocate("e", 0, sized(10)).root_uid(), first.root_uid());
}

TEST(RangeAllocator, CursorSurvivesARestart) {
  FakeJournal journal;
  const auto pool = pool_of({{HostId{1000}, 40}});
  {
    RangeAllocator allocator(pool, {}, {}, journal);
    allocator.allocate("a", 0, sized(10));
    allocator.release("a");
  }
  RangeAllocator again(pool, {}, {}, journal);
  EXPECT_EQ(again.allocate("b", 0, sized(10)).root_uid(), HostId{1010});
}

TEST(RangeAllocator, LeasesOfTheStoreAndReservedMapsAreRespected) {
  FakeJournal journal;
  const IdMaps lease{IdMap::contiguous(HostId{1000}, 10), IdMap::contiguous(HostId{1000}, 10)};
  const IdMaps daemon{IdMap::contiguous(HostId{1005}, 20), IdMap::contiguous(HostId{1005}, 20)};
  RangeAllocator allocator(pool_of({{HostId{1000}, 40}}), {{"old", lease}}, {daemon}, journal);
  EXPECT_EQ(allocator.free(), 15U);
  EXPECT_EQ(allocator.allocate("a", 0, sized(10)).root_uid(), HostId{1025});
  EXPECT_EQ(message_of([&] { allocator.allocate("old", 0, sized(1)); }), "container old already has ids of its own");
}

TEST(RangeAllocator, SeveralPiecesWhenNoneIsLongEnough) {
  FakeJournal journal;
  RangeAllocator allocator(pool_of({{HostId{1000}, 10}, {HostId{2000}, 10}}), {}, {}, journal);
  EXPECT_EQ(allocator.allocate("a", 0, sized(15)).uid.proc_text(), "0 1000 10\n10 2000 5\n");
  EXPECT_EQ(allocator.free(), 5U);
}

TEST(RangeAllocator, ExhaustionSaysWhatToDoAndTakesNothing) {
  FakeJournal journal;
  RangeAllocator allocator(pool_of({{HostId{1000}, 10}}), {}, {}, journal);
  EXPECT_THAT(message_of([&] { allocator.allocate("a", 0, sized(11)); }),
              HasSubstr("11 ids are needed and 10 of 10 are free: remove containers, or add a line such as "
                        "bryo:1000000:1000000 to /etc/subuid"));
  EXPECT_EQ(allocator.free(), 10U);
  EXPECT_NO_THROW(allocator.allocate("a", 0, sized(10)));
}

TEST(RangeAllocator, GroupsFailingLeavesUsersFree) {
  FakeJournal journal;
  RangeAllocator allocator({"bryo", {{HostId{1000}, 10}}, {{HostId{1000}, 5}}}, {}, {}, journal);
  EXPECT_THAT(message_of([&] { allocator.allocate("a", 0, sized(6)); }), HasSubstr("/etc/subgid"));
  EXPECT_EQ(allocator.free(), 10U);
}

TEST(RangeAllocator, ExtraMappingsReplaceWhatTheyCover) {
  FakeJournal journal;
  RangeAllocator allocator(pool_of({{HostId{100000}, 1000}}), {}, {}, journal);
  const auto options = AutoOptions::parse("auto:size=100,uidmapping=10:1000:5").value();
  EXPECT_EQ(allocator.allocate("a", 0, options).uid.proc_text(), "0 100000 10\n15 100015 85\n10 1000 5\n");
  const auto inside_pool = AutoOptions::parse("auto:size=100,uidmapping=10:100005:5").value();
  EXPECT_THROW(allocator.allocate("b", 0, inside_pool), Error);
}

}  // namespace
}  // namespace bryo::ids
