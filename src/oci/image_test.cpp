#include "oci/image.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "base/error.hpp"

namespace bryo::oci {
namespace {

using testing::HasSubstr;

const std::string kDigest = "sha256:" + std::string(64, 'a');

std::string descriptor(std::string_view type) {
  return fmt::format(R"({{"mediaType":"{}","digest":"{}","size":7}})", type, kDigest);
}

std::string manifest_text(std::string_view type = media::kDockerManifest) {
  return fmt::format(R"({{"schemaVersion":2,"mediaType":"{}","config":{},"layers":[{}]}})", type,
                     descriptor(media::kDockerConfig), descriptor(media::kDockerLayerGzip));
}

std::string message_of(const auto& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.message();
  }
  return "nothing was thrown";
}

TEST(OciImage, ReadsAManifest) {
  const Manifest manifest = parse_manifest(manifest_text(), media::kDockerManifest);
  EXPECT_EQ(manifest.config.size, 7);
  EXPECT_EQ(manifest.layers.at(0).digest.str(), kDigest);
  EXPECT_NO_THROW(parse_manifest(manifest_text(), ""));
  EXPECT_EQ(parse_manifest(to_json(manifest)).layers, manifest.layers);
}

TEST(OciImage, CVE_2021_41190_OneDocumentHasOneMeaning) {
  const auto both =
      fmt::format(R"({{"schemaVersion":2,"config":{},"layers":[],"manifests":[]}})", descriptor(media::kOciConfig));
  for (const std::string_view type : {std::string_view(), media::kOciManifest, media::kOciIndex})
    EXPECT_THAT(message_of([&] { parse_document(both, type); }), HasSubstr("manifest and an index at the same time"));
  EXPECT_THAT(message_of([] { parse_document(manifest_text(), media::kOciManifest); }), HasSubstr("but it says"));
  EXPECT_THAT(message_of([] { parse_document(R"({"schemaVersion":2,"manifests":[]})", media::kOciManifest); }),
              HasSubstr("an index was sent as"));
  const auto plain = fmt::format(R"({{"schemaVersion":2,"config":{},"layers":[]}})", descriptor(media::kOciConfig));
  EXPECT_THAT(message_of([&] { parse_document(plain, media::kOciIndex); }), HasSubstr("a manifest was sent as"));
  const auto by_case =
      fmt::format(R"({{"schemaVersion":2,"config":{},"layers":[],"Manifests":[]}})", descriptor(media::kOciConfig));
  EXPECT_THAT(message_of([&] { parse_document(by_case, media::kOciManifest); }), HasSubstr("is not spelled"));
  const auto twice =
      fmt::format(R"({{"schemaVersion":2,"config":{},"layers":[],"layers":[]}})", descriptor(media::kOciConfig));
  EXPECT_THROW(parse_document(twice, media::kOciManifest), Error);
}

TEST(OciImage, CVE_2024_3727_DigestsAreChecked) {
  for (const char* digest : {"sha256:../../etc/passwd", "sha512:aaaa", "md5:aa", "sha256:AAAA", "aaaa"}) {
    const auto text =
        fmt::format(R"({{"schemaVersion":2,"config":{{"mediaType":"x","digest":"{}","size":1}},"layers":[]}})", digest);
    EXPECT_THROW(parse_manifest(text, media::kOciManifest), Error) << digest;
  }
}

TEST(OciImage, RefusesWhatIsNoImage) {
  EXPECT_THROW(parse_manifest("", ""), Error);
  EXPECT_THROW(parse_manifest("[]", ""), Error);
  EXPECT_THROW(parse_manifest("{}", ""), Error);
  EXPECT_THROW(parse_manifest(manifest_text(), "application/json"), Error);
  EXPECT_THROW(parse_manifest(std::string(kMaxDocumentSize + 1, ' '), ""), Error);
  std::string many = descriptor(media::kDockerLayer);
  for (int i = 0; i < 512; ++i) many += "," + descriptor(media::kDockerLayer);
  EXPECT_THAT(message_of([&] {
                parse_manifest(fmt::format(R"({{"schemaVersion":2,"config":{},"layers":[{}]}})",
                                           descriptor(media::kOciConfig), many),
                               media::kOciManifest);
              }),
              HasSubstr("513 layers"));
}

TEST(OciImage, Schema1IsNamedAndRefused) {
  EXPECT_THAT(message_of([] { parse_document("{}", media::kDockerSchema1Signed); }), HasSubstr("schema 1"));
  EXPECT_THAT(message_of([] { parse_document(R"({"schemaVersion":1,"fsLayers":[]})", ""); }), HasSubstr("schema 1"));
}

TEST(OciImage, ConfigKeepsTheDifferenceOfNullAndEmpty) {
  const auto config = parse_image_config(fmt::format(
      R"({{"architecture":"amd64","os":"linux","config":{{"Cmd":null,"Entrypoint":[],"Env":["A=b"],
         "ExposedPorts":{{"5000/tcp":{{}}}},"Labels":{{"x":"y"}},"Shell":"sh"}},
         "rootfs":{{"type":"layers","diff_ids":["{}"]}},"history":[{{"created_by":"a"}},{{"empty_layer":true}}],
         "unknown":{{"deep":[1]}}}})",
      kDigest));
  EXPECT_FALSE(config.config.cmd);
  EXPECT_TRUE(config.config.entrypoint.value().empty());
  EXPECT_EQ(config.config.shell.value().at(0), "sh");
  EXPECT_TRUE(config.config.exposed_ports.contains("5000/tcp"));
  const auto again = parse_image_config(to_json(config));
  EXPECT_EQ(again.config, config.config);
  EXPECT_EQ(again.rootfs.diff_ids, config.rootfs.diff_ids);
  EXPECT_THAT(to_json(config), HasSubstr(R"("ExposedPorts":{"5000/tcp":{}})"));
}

TEST(OciImage, ConfigIsChecked) {
  EXPECT_THROW(parse_image_config(R"({"rootfs":{"type":"squashfs","diff_ids":[]}})"), Error);
  EXPECT_THROW(parse_image_config(R"({"rootfs":{"type":"layers","diff_ids":["sha256:x"]}})"), Error);
  EXPECT_THROW(parse_image_config(R"({"rootfs":{"diff_ids":[]},"history":[{}]})"), Error);
  EXPECT_THROW(parse_image_config("null"), Error);
}

TEST(OciPlatform, Parse) {
  EXPECT_EQ(Platform::parse("linux/arm/v7").str(), "linux/arm/v7");
  EXPECT_EQ(Platform::parse("linux/x86_64").str(), "linux/amd64");
  EXPECT_EQ(Platform::parse("aarch64").str(), "linux/arm64");
  EXPECT_EQ(Platform::parse("Linux").os, "linux");
  for (const char* text : {"", "/", "linux/", "a/b/c/d", "linux/../x", "linux/a b"})
    EXPECT_THROW(Platform::parse(text), Error) << text;
}

Descriptor entry(std::string_view architecture, std::string_view variant, char digit) {
  Descriptor out;
  out.digest = Digest::parse("sha256:" + std::string(64, digit));
  out.platform = Platform{std::string(architecture), "linux", "", {}, std::string(variant)};
  return out;
}

TEST(OciPlatform, SelectsTheBestVariantThatRuns) {
  Index index;
  index.manifests = {entry("arm", "v5", '0'),   entry("arm", "v7", '1'), entry("arm", "v6", '2'),
                     entry("arm64", "v8", '3'), entry("amd64", "", '4'), entry("amd64", "v3", '5')};
  const auto chosen = [&](std::string_view text) {
    const auto* found = select_platform(index, Platform::parse(text));
    return found == nullptr ? std::string("none") : found->digest.hex().substr(0, 1);
  };
  EXPECT_EQ(chosen("linux/arm/v7"), "1");
  EXPECT_EQ(chosen("linux/arm/v6"), "2");
  EXPECT_EQ(chosen("linux/arm64"), "3");
  EXPECT_EQ(chosen("linux/amd64"), "4");
  EXPECT_EQ(chosen("linux/amd64/v3"), "5");
  EXPECT_EQ(chosen("linux/s390x"), "none");
}

TEST(OciPlatform, AttestationsAreNeverSelected) {
  Index index;
  index.manifests = {entry("unknown", "", '0')};
  index.manifests[0].platform->os = "unknown";
  EXPECT_EQ(select_platform(index, Platform::host()), nullptr);
}

TEST(OciImage, HostileTextNeverCrashes) {
  const std::string seed = manifest_text();
  std::mt19937 random(4);
  for (int round = 0; round < 5000; ++round) {
    std::string text = seed;
    for (int i = 0; i < 3; ++i) text[random() % text.size()] = static_cast<char>(random());
    try {
      (void)parse_document(text, "");
    } catch (const Error&) {
    }
    try {
      (void)parse_image_config(text);
    } catch (const Error&) {
    }
  }
}

}  // namespace
}  // namespace bryo::oci
