#include "kernel/netlink_conntrack.hpp"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <sys/socket.h>

#include <vector>

#include "base/error.hpp"

namespace bryo::kernel {
namespace {

// What a delete request must repeat.
struct Doomed {
  std::uint8_t family = 0;
  std::vector<std::byte> tuple;
  std::vector<std::byte> id;
  std::vector<std::byte> zone;
};

std::uint16_t ct_type(unsigned message) { return static_cast<std::uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | message); }

nfgenmsg ct_header(std::uint8_t family) {
  nfgenmsg header{};
  header.nfgen_family = family;
  header.version = NFNETLINK_V0;
  return header;
}

IpAddress tuple_address(const NetlinkAttributes& tuple, unsigned v4, unsigned v6) {
  const NetlinkAttributes ip = tuple.nested(CTA_TUPLE_IP);
  if (const auto value = ip.find(v4); value && value->size() == 4)
    return IpAddress::from_bytes(Family::v4, value->data());
  if (const auto value = ip.find(v6); value && value->size() == 16)
    return IpAddress::from_bytes(Family::v6, value->data());
  return {};
}

Flow read_flow(const NetlinkAttributes& attributes) {
  Flow flow;
  const NetlinkAttributes original = attributes.nested(CTA_TUPLE_ORIG);
  const NetlinkAttributes protocol = original.nested(CTA_TUPLE_PROTO);
  flow.protocol = protocol.u8(CTA_PROTO_NUM).value_or(0);
  flow.source_port = protocol.be16(CTA_PROTO_SRC_PORT).value_or(0);
  flow.destination_port = protocol.be16(CTA_PROTO_DST_PORT).value_or(0);
  flow.source = tuple_address(original, CTA_IP_V4_SRC, CTA_IP_V6_SRC);
  flow.destination = tuple_address(original, CTA_IP_V4_DST, CTA_IP_V6_DST);
  flow.reply_source = tuple_address(attributes.nested(CTA_TUPLE_REPLY), CTA_IP_V4_SRC, CTA_IP_V6_SRC);
  return flow;
}

std::vector<std::byte> copy_of(const NetlinkAttributes& attributes, unsigned type) {
  const auto value = attributes.find(type);
  return value ? std::vector<std::byte>(value->begin(), value->end()) : std::vector<std::byte>();
}

bool delete_one(NetlinkSocket& socket, const Doomed& doomed) {
  NetlinkBatch batch;
  batch.message(ct_type(IPCTNL_MSG_CT_DELETE), 0, ct_header(doomed.family));
  batch.bytes(CTA_TUPLE_ORIG | NLA_F_NESTED, doomed.tuple).bytes(CTA_ID, doomed.id);
  if (!doomed.zone.empty()) batch.bytes(CTA_ZONE, doomed.zone);
  try {
    socket.execute(batch, "forget a connection");
    return true;
  } catch (const Error& error) {
    if (error.number() == ENOENT) return false;
    throw;
  }
}

}  // namespace

std::size_t delete_flows(NetlinkSocket& socket, const std::function<bool(const Flow&)>& which) {
  NetlinkBatch batch;
  batch.message(ct_type(IPCTNL_MSG_CT_GET), 0, ct_header(AF_UNSPEC));
  std::vector<Doomed> doomed;
  socket.dump(batch, "list connections", [&](const NetlinkReply& reply) {
    const auto attributes = reply.attributes<nfgenmsg>();
    if (!which(read_flow(attributes))) return;
    doomed.push_back({reply.header<nfgenmsg>().nfgen_family, copy_of(attributes, CTA_TUPLE_ORIG),
                      copy_of(attributes, CTA_ID), copy_of(attributes, CTA_ZONE)});
  });
  std::size_t deleted = 0;
  for (const Doomed& flow : doomed) deleted += delete_one(socket, flow) ? 1 : 0;
  return deleted;
}

}  // namespace bryo::kernel
