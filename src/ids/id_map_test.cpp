#include "ids/id_map.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"

namespace bryo::ids {
namespace {

IdRange range(std::uint32_t container, std::uint32_t host, std::uint32_t size) {
  return {ContainerId{container}, HostId{host}, size};
}

TEST(IdMap, TranslatesBothWays) {
  const auto map = IdMap::from_ranges({range(0, 165536, 1000), range(65534, 5, 1)});
  EXPECT_EQ(map.to_host(ContainerId{0}), HostId{165536});
  EXPECT_EQ(map.to_host(ContainerId{999}), HostId{166535});
  EXPECT_EQ(map.to_host(ContainerId{1000}), std::nullopt);
  EXPECT_EQ(map.to_host(ContainerId{65534}), HostId{5});
  EXPECT_EQ(map.to_container(HostId{166535}), ContainerId{999});
  EXPECT_EQ(map.to_container(HostId{166536}), std::nullopt);
  EXPECT_EQ(map.to_container(HostId{0}), std::nullopt);
  EXPECT_EQ(map.size(), 1001U);
}

TEST(IdMap, RefusesOverlapsEmptyAndOverflow) {
  EXPECT_THROW(IdMap::from_ranges({range(0, 1000, 10), range(9, 5000, 10)}), Error);
  EXPECT_THROW(IdMap::from_ranges({range(0, 1000, 10), range(10, 1009, 10)}), Error);
  EXPECT_THROW(IdMap::from_ranges({range(0, 1000, 0)}), Error);
  EXPECT_THROW(IdMap::from_ranges({range(0, 4294967290U, 10)}), Error);
  EXPECT_THROW(IdMap::from_ranges({range(1, 0, kAllIds)}), Error);
  EXPECT_THROW(IdMap::from_ranges(std::vector<IdRange>(341, range(0, 1, 1))), Error);
  EXPECT_NO_THROW(IdMap::from_ranges({range(0, 1000, 10), range(10, 1010, 10)}));
}

TEST(IdMap, IdentityIsEverything) {
  EXPECT_TRUE(IdMap::identity().is_identity());
  EXPECT_FALSE(IdMap::contiguous(HostId{0}, 65536).is_identity());
  EXPECT_FALSE(IdMap().is_identity());
  EXPECT_EQ(IdMap::identity().proc_text(), "0 0 4294967295\n");
}

TEST(IdMap, ProcTextRoundTrip) {
  const auto map = IdMap::parse_proc_text("         0     165536      65536\n     65536       1000          1\n");
  EXPECT_EQ(map.proc_text(), "0 165536 65536\n65536 1000 1\n");
  EXPECT_EQ(IdMap::parse_proc_text(map.proc_text()), map);
  EXPECT_THROW(IdMap::parse_proc_text("0 1"), Error);
  EXPECT_THROW(IdMap::parse_proc_text("0 -1 5"), Error);
  EXPECT_TRUE(IdMap::parse_proc_text("").empty());
}

TEST(IdMap, JsonRoundTripIsChecked) {
  const IdMaps maps{IdMap::contiguous(HostId{100000}, 65536), IdMap::contiguous(HostId{200000}, 65536)};
  const auto text = json::serialize(json::encode(maps));
  EXPECT_EQ(
      text,
      R"({"uid":[{"containerID":0,"hostID":100000,"size":65536}],"gid":[{"containerID":0,"hostID":200000,"size":65536}]})");
  EXPECT_EQ(json::decode<IdMaps>(json::parse(text)), maps);
  EXPECT_THROW(json::decode<IdMaps>(json::parse(R"({"uid":[{"containerID":0,"hostID":1,"size":0}]})")), Error);
  EXPECT_THROW(json::decode<IdMaps>(json::parse(R"({"uid":[{"containerID":0,"hostID":4294967296,"size":1}]})")), Error);
}

TEST(IdMaps, RootAndDirectoryName) {
  const IdMaps maps{IdMap::contiguous(HostId{165536}, 65536), IdMap::contiguous(HostId{165537}, 65536)};
  EXPECT_EQ(maps.directory_name(), "165536.165537");
  EXPECT_EQ(maps.root_uid(), HostId{165536});
  EXPECT_THROW(IdMaps().root_uid(), Error);
}

TEST(IdMap, OverlapsHost) {
  const auto map = IdMap::contiguous(HostId{1000}, 10);
  EXPECT_TRUE(map.overlaps_host(IdMap::contiguous(HostId{1009}, 1)));
  EXPECT_FALSE(map.overlaps_host(IdMap::contiguous(HostId{1010}, 1)));
}

}  // namespace
}  // namespace bryo::ids
