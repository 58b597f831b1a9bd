#include "ids/keep_id.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"
#include "ids/own_namespace.hpp"

namespace bryo::ids {
namespace {

using ::testing::HasSubstr;

IdMap map(std::string_view text) { return IdMap::parse_proc_text(text); }
// As newuidmap makes them: the user, then the subordinate ids.
const IdMaps kUsual{map("0 1001 1\n1 231072 65536\n"), map("0 1002 1\n1 231072 65536\n")};

TEST(KeepId, TheCallerIsTheWantedUserAndTheOthersKeepTheirOrder) {
  const IdMaps maps = keep_id_maps(kUsual, {.uid = 1000, .gid = 50});
  EXPECT_EQ(maps.uid.proc_text(), "0 1 1000\n1000 0 1\n1001 1001 64536\n");
  EXPECT_EQ(maps.gid.proc_text(), "0 1 50\n50 0 1\n51 51 65486\n");
}

TEST(KeepId, ByDefaultTheNumbersAreTheHosts) {
  const IdMaps maps = keep_id_maps(kUsual, {});
  EXPECT_EQ(maps.uid.to_host(ContainerId{1001}), HostId{0});
  EXPECT_EQ(maps.gid.to_host(ContainerId{1002}), HostId{0});
  EXPECT_EQ(maps.uid.to_host(ContainerId{0}), HostId{1}) << "root is a subordinate id";
}

TEST(KeepId, RootMayBeKept) { EXPECT_TRUE(keep_id_maps(kUsual, {.uid = 0, .gid = 0}).keeps_ids()); }

TEST(KeepId, EveryIdIsUsedOnceAndRangesStayWithinThoseOfTheParent) {
  const IdMaps outside{map("0 1001 1\n1 231072 1000\n1001 500000 3000\n"), map("0 1001 1\n1 231072 4000\n")};
  const IdMaps maps = keep_id_maps(outside, {.uid = 1500, .gid = 1500});
  EXPECT_EQ(maps.uid.proc_text(), "0 1 1000\n1000 1001 500\n1500 0 1\n1501 1501 2500\n");
  EXPECT_EQ(maps.uid.size(), outside.uid.size());
}

TEST(KeepId, SizeBoundsTheMap) {
  EXPECT_EQ(keep_id_maps(kUsual, {.uid = 10, .gid = 10, .size = 20}).uid.proc_text(), "0 1 10\n10 0 1\n11 11 9\n");
}

TEST(KeepId, AnIdBeyondTheRangeIsRefusedWithTheWayOut) {
  try {
    keep_id_maps(kUsual, {.uid = 70000});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::exhausted);
    EXPECT_THAT(error.message(), HasSubstr("id 70000 is above the 65537 ids"));
  }
}

TEST(KeepId, Options) {
  EXPECT_FALSE(KeepIdOptions::parse("auto"));
  EXPECT_FALSE(KeepIdOptions::parse("keep-ids"));
  const auto all = KeepIdOptions::parse("keep-id:uid=1000,gid=100,size=5000");
  ASSERT_TRUE(all);
  EXPECT_EQ(all->uid, 1000U);
  EXPECT_EQ(all->gid, 100U);
  EXPECT_EQ(all->size, 5000U);
  for (const char* text : {"keep-id:", "keep-id:uid", "keep-id:uid=", "keep-id:uid=-1", "keep-id:size=0", "keep-id:x=1",
                           "keep-id:uid=4294967295", "keep-id:uid=0x3", "keep-id:uid=1,"})
    EXPECT_THROW(KeepIdOptions::parse(text), Error) << text;
}

TEST(OwnNamespace, KeepsItsIds) {
  EXPECT_TRUE(within_own_namespace().keeps_ids());
  EXPECT_EQ(within_own_namespace().uid.size(), outside_of_own_namespace().uid.size());
}

TEST(IdMap, KeepingIdsIsMoreThanIdentity) {
  EXPECT_TRUE(IdMap::identity().keeps_ids());
  EXPECT_TRUE(map("0 0 1\n1 1 65536\n").keeps_ids());
  EXPECT_FALSE(map("0 0 1\n1 1 65536\n").is_identity());
  EXPECT_FALSE(map("0 0 1\n1 2 10\n").keeps_ids());
}

}  // namespace
}  // namespace bryo::ids
