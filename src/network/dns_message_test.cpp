#include "network/dns_message.hpp"

#include <gtest/gtest.h>

#include "network/dns_answer.hpp"

namespace bryo::network {
namespace {

using kernel::IpAddress;

DnsBytes query_bytes(const std::vector<std::string>& labels, std::uint16_t type, bool edns = false) {
  DnsBytes out{0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, static_cast<std::uint8_t>(edns ? 1 : 0)};
  for (const std::string& label : labels) {
    out.push_back(static_cast<std::uint8_t>(label.size()));
    out.insert(out.end(), label.begin(), label.end());
  }
  out.push_back(0);
  for (const int byte : {type >> 8, type & 255, 0, 1}) out.push_back(static_cast<std::uint8_t>(byte));
  if (edns) {
    for (const int byte : {0, 0, 41, 0x05, 0xdc, 0, 0, 0, 0, 0, 0}) out.push_back(static_cast<std::uint8_t>(byte));
  }
  return out;
}

TEST(DnsMessage, ReadsAQuestion) {
  const auto query = parse_dns_query(query_bytes({"Web", "Red"}, kDnsTypeA, true)).query;
  ASSERT_TRUE(query);
  EXPECT_EQ(query->name, "web.red");
  EXPECT_EQ(query->type, kDnsTypeA);
  EXPECT_EQ(query->udp_size, 1500U);
  EXPECT_TRUE(query->has_edns);
}

TEST(DnsMessage, BytesThatNoHostNameHasMatchNothing) {
  for (const std::string& label :
       {std::string("a.b"), std::string("a\0b", 3), std::string("\xff"), std::string("a b")}) {
    const auto query = parse_dns_query(query_bytes({label}, kDnsTypeA)).query;
    ASSERT_TRUE(query);
    EXPECT_EQ(query->name, "");
  }
}

TEST(DnsMessage, EveryPrefixOfAMessageIsSurvived) {
  const DnsBytes whole = query_bytes({"a-rather-long-label", "example", "com"}, kDnsTypeAaaa, true);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const DnsBytes part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    const DnsParsed parsed = parse_dns_query(part);
    EXPECT_TRUE(size >= 12 || !(parsed.query || parsed.refusal));
    EXPECT_TRUE(!parsed.query || parsed.query->name == "a-rather-long-label.example.com");
  }
}

TEST(DnsMessage, HostileMessagesAreRefusedOrIgnored) {
  DnsBytes answer = query_bytes({"a"}, kDnsTypeA);
  answer[2] |= 0x80;
  EXPECT_FALSE(parse_dns_query(answer).refusal) << "an answer is never answered";
  EXPECT_FALSE(parse_dns_query(answer).query);
  DnsBytes update = query_bytes({"a"}, kDnsTypeA);
  update[2] = 0x28;
  ASSERT_TRUE(parse_dns_query(update).refusal);
  EXPECT_EQ((*parse_dns_query(update).refusal)[3] & 15, 4);
  DnsBytes many = query_bytes({"a"}, kDnsTypeA);
  many[5] = 2;
  EXPECT_TRUE(parse_dns_query(many).refusal);
  DnsBytes pointer{0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 0x0c, 0, 1, 0, 1};  // a name that is itself
  EXPECT_TRUE(parse_dns_query(pointer).refusal);
  DnsBytes endless = {0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0};
  for (int i = 0; i < 200; ++i) endless.insert(endless.end(), {1, 'a'});
  endless.insert(endless.end(), {0, 0, 1, 0, 1});
  EXPECT_TRUE(parse_dns_query(endless).refusal) << "255 bytes at most";
  DnsBytes lying = query_bytes({"a"}, kDnsTypeA, true);
  lying[10] = lying[11] = 0xff;  // 65535 additional records
  EXPECT_TRUE(parse_dns_query(lying).query);
}

TEST(DnsMessage, RandomBytesNeverHurt) {
  unsigned random = 1;
  for (int round = 0; round < 20000; ++round) {
    DnsBytes bytes(static_cast<std::size_t>(round % 90));
    for (std::uint8_t& byte : bytes) {
      random = random * 1103515245 + 12345;
      byte = static_cast<std::uint8_t>(random >> 16);
    }
    if (bytes.size() > 6) {
      bytes[2] &= 0x07;
      bytes[4] = 0;
      bytes[5] = 1;
    }
    const DnsParsed parsed = parse_dns_query(bytes);
    if (!parsed.query) continue;
    const DnsBytes reply = dns_addresses(*parsed.query, {IpAddress::parse("10.0.0.1")});
    EXPECT_TRUE(dns_answers(reply, parsed.query->id, *parsed.query));
    dns_fit(bytes, 20);
  }
}

TEST(DnsMessage, AnswersFitOrSayThatTheyAreCut) {
  const auto query = *parse_dns_query(query_bytes({"many"}, kDnsTypeA)).query;
  const std::vector<IpAddress> addresses(100, IpAddress::parse("10.0.0.1"));
  const DnsBytes whole = dns_addresses(query, addresses);
  EXPECT_EQ(whole.size(), 12 + 10 + 100 * 16U);
  const DnsBytes cut = dns_fit(whole, kDnsSmallest);
  EXPECT_EQ(cut.size(), 22U);
  EXPECT_NE(cut[2] & 2, 0) << "truncated";
  EXPECT_EQ(cut[7], 0);
}

TEST(DnsMessage, ForgedAnswersAreNotOurs) {
  const auto query = *parse_dns_query(query_bytes({"bank", "example"}, kDnsTypeA)).query;
  DnsBytes good = dns_addresses(query, {IpAddress::parse("10.0.0.1")});
  EXPECT_TRUE(dns_answers(good, 0x1234, query));
  EXPECT_FALSE(dns_answers(good, 0x1235, query));
  DnsBytes other = good;
  other[13] = 't';
  EXPECT_FALSE(dns_answers(other, 0x1234, query));
  DnsBytes mixed = good;
  mixed[13] = 'B';
  EXPECT_TRUE(dns_answers(mixed, 0x1234, query));
  DnsBytes not_answer = good;
  not_answer[2] &= 0x7f;
  EXPECT_FALSE(dns_answers(not_answer, 0x1234, query));
}

TEST(DnsMessage, ReverseNames) {
  EXPECT_EQ(parse_reverse_name("2.0.18.172.in-addr.arpa")->str(), "172.18.0.2");
  EXPECT_EQ(parse_reverse_name("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa")->str(),
            "fd00::1");
  for (const char* wrong : {"in-addr.arpa", "1.2.3.in-addr.arpa", "1.2.3.4.5.in-addr.arpa", "a.b.c.d.in-addr.arpa",
                            "1.0.ip6.arpa", "example.com"})
    EXPECT_FALSE(parse_reverse_name(wrong)) << wrong;
}

Endpoint endpoint_of(const std::string& container, const std::string& network, const std::string& v4,
                     std::vector<std::string> names) {
  Endpoint endpoint;
  endpoint.endpoint_id = container + network;
  endpoint.network_id = endpoint.network_name = network;
  endpoint.container_id = endpoint.container_name = container;
  endpoint.ip_address = v4;
  endpoint.dns_names = std::move(names);
  return endpoint;
}

class DnsAnswers : public ::testing::Test {
 protected:
  std::string ask(const std::string& who, const std::vector<std::string>& labels, std::uint16_t type = kDnsTypeA,
                  std::size_t turn = 0) {
    const auto query = *parse_dns_query(query_bytes(labels, type)).query;
    const auto answer = local_dns_answer(names, who, query, turn);
    if (!answer) return "upstream";
    std::string out;
    for (std::size_t at = 12 + query.question.size() + 12; at + 4 <= answer->size(); at += 16)
      out += IpAddress::from_bytes(kernel::Family::v4, answer->data() + at).str() + " ";
    return out;
  }
  DnsNames names;
};

TEST_F(DnsAnswers, OneNameManyContainersTakeTurns) {
  names.add(endpoint_of("a", "red", "10.0.0.2", {"a", "svc"}), true);
  names.add(endpoint_of("b", "red", "10.0.0.3", {"b", "svc"}), true);
  EXPECT_EQ(ask("a", {"svc"}, kDnsTypeA, 0), "10.0.0.2 10.0.0.3 ");
  EXPECT_EQ(ask("a", {"svc"}, kDnsTypeA, 1), "10.0.0.3 10.0.0.2 ");
  names.remove("ared");
  EXPECT_EQ(ask("b", {"svc"}), "10.0.0.3 ");
  EXPECT_EQ(ask("a", {"svc"}), "upstream") << "who is in no network sees none";
}

TEST_F(DnsAnswers, NetworksDoNotLeakNames) {
  names.add(endpoint_of("a", "red", "10.0.0.2", {"a"}), true);
  names.add(endpoint_of("b", "blue", "10.1.0.2", {"b"}), false);
  names.add(endpoint_of("c", "red", "10.0.0.4", {"c"}), true);
  names.add(endpoint_of("c", "blue", "10.1.0.4", {"c"}), false);
  EXPECT_EQ(ask("a", {"b"}), "upstream");
  EXPECT_EQ(ask("a", {"b", "blue"}), "upstream");
  EXPECT_EQ(ask("c", {"b"}), "10.1.0.2 ");
  EXPECT_EQ(ask("c", {"c", "red"}), "10.0.0.4 ");
  EXPECT_EQ(ask("c", {"c", "BLUE"}), "10.1.0.4 ");
  EXPECT_FALSE(names.leads_out("b"));
  EXPECT_TRUE(names.leads_out("c"));
  EXPECT_EQ(names.reverse("a", IpAddress::parse("10.1.0.2")), std::nullopt);
  EXPECT_EQ(names.reverse("c", IpAddress::parse("10.1.0.2")), "b.blue");
}

TEST_F(DnsAnswers, KnownNamesWithoutThatRecordAreEmptyNotMissing) {
  names.add(endpoint_of("a", "red", "10.0.0.2", {"a"}), true);
  EXPECT_EQ(ask("a", {"a"}, kDnsTypeAaaa), "");
  EXPECT_EQ(ask("a", {"a"}, kDnsTypeMx), "");
  EXPECT_EQ(ask("a", {"a"}, 16), "upstream") << "TXT is not ours";
  EXPECT_EQ(ask("a", {"x"}, kDnsTypeAaaa), "upstream");
}

}  // namespace
}  // namespace bryo::network
