#include "storage/compression.hpp"

#include <bzlib.h>
#include <gtest/gtest.h>
#include <lzma.h>

#include <random>

#include "base/error.hpp"

namespace bryo::storage {
namespace {

std::string sample() {
  std::string text;
  std::mt19937 random(7);
  while (text.size() < 700'000) {
    text += "line " + std::to_string(random() % 5000) + " of something that repeats\n";
    if (text.size() % 9 == 0) text += static_cast<char>(random());
  }
  return text;
}

std::string compress(const std::string& text, Compression form) {
  if (form == Compression::bzip2) {
    std::string out(text.size() + 1000, '\0');
    unsigned size = static_cast<unsigned>(out.size());
    std::string in = text;
    EXPECT_EQ(BZ2_bzBuffToBuffCompress(out.data(), &size, in.data(), static_cast<unsigned>(in.size()), 9, 0, 0), BZ_OK);
    out.resize(size);
    return out;
  }
  if (form == Compression::xz) {
    std::string out(text.size() + 1000, '\0');
    std::size_t size = 0;
    EXPECT_EQ(lzma_easy_buffer_encode(0, LZMA_CHECK_CRC32, nullptr, reinterpret_cast<const std::uint8_t*>(text.data()),
                                      text.size(), reinterpret_cast<std::uint8_t*>(out.data()), &size, out.size()),
              LZMA_OK);
    out.resize(size);
    return out;
  }
  StringSink sink;
  const auto encoder = make_encoder(sink, form);
  for (std::size_t at = 0; at < text.size(); at += 100'000)
    encoder->ByteSink::write(std::string_view(text).substr(at, 100'000));
  encoder->finish();
  return sink.take();
}

// Gives at most `step` bytes at a time.
class Slow final : public ByteSource {
 public:
  Slow(std::string_view text, std::size_t step) : text_(text), step_(step) {}
  std::size_t read(std::span<std::byte> into) override { return text_.read(into.first(std::min(into.size(), step_))); }

 private:
  MemorySource text_;
  std::size_t step_;
};

std::string decode(std::string_view bytes, std::size_t step = SIZE_MAX, std::size_t room = 65536) {
  Slow source(bytes, step);
  const auto decoder = make_decoder(source);
  StringSink sink;
  copy_all(*decoder, sink, room);
  return sink.take();
}

class Codecs : public ::testing::TestWithParam<Compression> {};
INSTANTIATE_TEST_SUITE_P(Forms, Codecs,
                         ::testing::Values(Compression::none, Compression::gzip, Compression::zstd, Compression::bzip2,
                                           Compression::xz),
                         [](const auto& param) { return std::string(to_string(param.param)); });

TEST_P(Codecs, RoundTripWithAnySizeOfPieces) {
  const std::string text = sample();
  const std::string packed = compress(text, GetParam());
  EXPECT_EQ(detect_compression(std::as_bytes(std::span(packed)).first(6)), GetParam());
  EXPECT_EQ(decode(packed), text);
  EXPECT_EQ(decode(packed, 7, 4096), text);
  EXPECT_EQ(decode(packed, 100'000, 1), text);
  EXPECT_EQ(decode(packed, 1, 10'000'000), text);
}

TEST_P(Codecs, EmptyContent) { EXPECT_EQ(decode(compress("", GetParam())), ""); }

TEST_P(Codecs, StreamsAfterEachOtherAreOne) {
  const std::string text = sample().substr(0, 100'000);
  const std::string packed = compress(text, GetParam());
  for (const std::size_t step : {SIZE_MAX, std::size_t{1}, std::size_t{5}})
    EXPECT_EQ(decode(packed + packed, step), text + text) << step;
}

TEST_P(Codecs, CVE_2021_20291_TruncatedStreamsFailAtOnceEverywhere) {
  if (GetParam() == Compression::none) GTEST_SKIP() << "plain bytes have no end mark";
  const std::string packed = compress(sample().substr(0, 60'000), GetParam());
  for (std::size_t size = 6; size < packed.size(); size += 1 + size / 7)
    EXPECT_THROW(decode(packed.substr(0, size)), Error) << size;
}

TEST_P(Codecs, CorruptStreamsFailOrGiveOtherBytesButNeverHang) {
  if (GetParam() == Compression::none) GTEST_SKIP() << "plain bytes have no check";
  const std::string text = sample().substr(0, 60'000);
  const std::string packed = compress(text, GetParam());
  int noticed = 0;
  int tried = 0;
  for (std::size_t at = 6; at < packed.size(); at += 97, ++tried) {
    std::string bad = packed;
    bad[at] = static_cast<char>(bad[at] ^ 0x55);
    try {
      noticed += decode(bad) != text ? 1 : 0;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::invalid_argument) << error.message();
      ++noticed;
    }
  }
  EXPECT_GT(noticed, tried * 9 / 10);
}

TEST(Compression, GzipTakesZerosAfterTheEndButNoGarbage) {
  const std::string packed = compress("hello", Compression::gzip);
  EXPECT_EQ(decode(packed + std::string(10'000, '\0')), "hello");
  EXPECT_THROW(decode(packed + "garbage"), Error);
}

TEST(Compression, GzipOutputIsTheSameEveryTime) {
  EXPECT_EQ(compress(sample(), Compression::gzip), compress(sample(), Compression::gzip));
}

// CVE-2017-14992, CVE-2018-…: a bomb costs the decoder no memory, whatever it unpacks to.
TEST(Compression, CVE_2017_14992_BombsAreStreamed) {
  StringSink sink;
  const auto encoder = make_encoder(sink, Compression::gzip);
  const std::vector<std::byte> zeros(1U << 20);
  for (int i = 0; i < 512; ++i) encoder->write(zeros);
  encoder->finish();
  MemorySource source(sink.text());
  const auto decoder = make_decoder(source);
  std::vector<std::byte> buffer(1U << 20);
  std::uint64_t total = 0;
  while (const std::size_t got = decoder->read(buffer)) total += got;
  EXPECT_EQ(total, 512ULL << 20);
  EXPECT_LT(sink.text().size(), 8U << 20);
}

}  // namespace
}  // namespace bryo::storage
