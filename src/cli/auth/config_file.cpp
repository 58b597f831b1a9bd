#include "cli/auth/config_file.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "base/error.hpp"
#include "base/strings.hpp"
#include "cli/auth/base64.hpp"
#include "cli/auth/credential_helper.hpp"
#include "cli/auth/reference.hpp"
#include "cli/files/disk.hpp"
#include "cli/format/json_text.hpp"
#include "cli/options/value_files.hpp"

namespace bryo::cli {
namespace {

std::string string_field(const json::Object& object, std::string_view name) {
  const json::Value* value = object.if_contains(boost::json::string_view(name.data(), name.size()));
  if (value == nullptr || !value->is_string()) return {};
  return std::string(value->get_string().data(), value->get_string().size());
}

const json::Object* object_field(const json::Object& object, std::string_view name) {
  const json::Value* value = object.if_contains(boost::json::string_view(name.data(), name.size()));
  return value == nullptr ? nullptr : value->if_object();
}

json::Object& object_at(json::Object& object, std::string_view name) {
  json::Value& value = object[boost::json::string_view(name.data(), name.size())];
  if (!value.is_object()) value = json::Object();
  return value.get_object();
}

Credentials from_entry(const json::Object& entry) {
  Credentials out;
  out.username = string_field(entry, "username");
  out.password = string_field(entry, "password");
  out.identity_token = string_field(entry, "identitytoken");
  if (const auto decoded = decode_base64(string_field(entry, "auth"))) {
    if (const auto parts = split_once(*decoded, ':')) {
      out.username = parts->first;
      out.password = parts->second;
      while (out.password.ends_with('\0')) out.password.pop_back();
    }
  }
  return out;
}

}  // namespace

std::string registry_host(std::string_view server) {
  for (const std::string_view scheme : {"https://", "http://"})
    if (server.starts_with(scheme)) server.remove_prefix(scheme.size());
  return std::string(server.substr(0, server.find('/')));
}

std::string ConfigFile::default_directory() {
  if (const char* directory = std::getenv("DOCKER_CONFIG"); directory != nullptr && *directory != '\0')
    return directory;
  const char* home = std::getenv("HOME");
  return std::string(home == nullptr || *home == '\0' ? "/root" : home) + "/.docker";
}

ConfigFile ConfigFile::load(const std::string& directory) {
  ConfigFile out;
  out.directory_ = directory;
  // Most have none, and a static program's first exception costs milliseconds: it sorts the tables for unwinding.
  if (!is_there(out.path())) return out;
  try {
    const json::Value value = json::parse(read_small_file(out.path()));
    if (!value.is_object()) fail(ErrorKind::invalid_argument, "expected an object");
    out.fields_ = value.get_object();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::not_found)
      fail(ErrorKind::invalid_argument, "loading config file: {}: {}", out.path(), error.message());
  }
  return out;
}

std::string ConfigFile::text(std::string_view field) const { return string_field(fields_, field); }

std::vector<std::pair<std::string, std::string>> ConfigFile::http_headers() const {
  std::vector<std::pair<std::string, std::string>> out;
  const json::Object* headers = object_field(fields_, "HttpHeaders");
  if (headers == nullptr) return out;
  for (const auto& item : *headers)
    if (item.value().is_string() && !iequals({item.key().data(), item.key().size()}, "user-agent"))
      out.emplace_back(std::string(item.key().data(), item.key().size()), item.value().get_string().c_str());
  return out;
}

void ConfigFile::set_text(std::string_view field, const std::string& value) {
  if (value.empty())
    fields_.erase(field);
  else
    fields_[field] = value;
  write();
}

std::string ConfigFile::helper_for(const std::string& registry) const {
  if (const json::Object* helpers = object_field(fields_, "credHelpers"))
    if (const std::string helper = string_field(*helpers, registry); !helper.empty()) return helper;
  return text("credsStore");
}

// The key under which the file has this registry: written as we write it, or as a URL of the same host and port.
std::optional<std::string> ConfigFile::stored_key(const std::string& registry) const {
  const json::Object* entries = object_field(fields_, "auths");
  if (entries == nullptr) return std::nullopt;
  if (entries->contains(registry)) return registry;
  for (const auto& item : *entries) {
    const std::string key(item.key().data(), item.key().size());
    if (registry_host(key) == registry_host(registry)) return key;
  }
  return std::nullopt;
}

Credentials ConfigFile::credentials(const std::string& registry) const {
  if (const std::string helper = helper_for(registry); !helper.empty()) return helper_get(helper, registry);
  const auto key = stored_key(registry);
  if (!key) return {};
  const json::Object* entry = object_field(*object_field(fields_, "auths"), *key);
  return entry == nullptr ? Credentials() : from_entry(*entry);
}

void ConfigFile::store(const std::string& registry, const Credentials& credentials) {
  json::Object entry;
  if (const std::string helper = helper_for(registry); !helper.empty()) {
    helper_store(helper, registry, credentials);
  } else if (!credentials.identity_token.empty()) {
    entry["auth"] = encode_base64(credentials.username + ":");
    entry["identitytoken"] = credentials.identity_token;
  } else {
    entry["auth"] = encode_base64(credentials.username + ":" + credentials.password);
  }
  object_at(fields_, "auths")[registry] = std::move(entry);
  write();
}

bool ConfigFile::erase(const std::string& registry) {
  if (const std::string helper = helper_for(registry); !helper.empty()) helper_erase(helper, registry);
  const auto key = stored_key(registry);
  if (!key) return false;
  object_at(fields_, "auths").erase(*key);
  write();
  return true;
}

void ConfigFile::write() const {
  if (::mkdir(directory_.c_str(), 0700) != 0 && errno != EEXIST) fail_errno("make {}", directory_);
  // Nobody else can read the passwords.
  write_whole_file(path(), indented_json(fields_, "\t") + "\n", 0600);
}

}  // namespace bryo::cli
