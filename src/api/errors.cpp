#include "api/errors.hpp"

namespace bryo::api {

int status_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::invalid_argument:
      return 400;
    case ErrorKind::unauthorized:
      return 401;
    case ErrorKind::permission:
      return 403;
    case ErrorKind::not_found:
      return 404;
    case ErrorKind::conflict:
      return 409;
    case ErrorKind::gone:
      return 410;
    case ErrorKind::not_modified:
      return 304;
    case ErrorKind::unsupported:
      return 501;
    case ErrorKind::unavailable:
      return 503;
    case ErrorKind::cancelled:
      return 499;
    case ErrorKind::exhausted:
    case ErrorKind::internal:
      return 500;
  }
  return 500;
}

Reply error_reply(int status, std::string_view message) {
  if (status == 304) return Reply::empty(304);
  json::Object body;
  body.emplace("message", json::encode(message));
  return Reply::json(status, body);
}

Reply error_reply(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const Error& error) {
    return error_reply(status_of(error.kind()), error.message());
  } catch (const std::exception& error) {
    return error_reply(500, error.what());
  } catch (...) {
    return error_reply(500, "unknown error");
  }
}

std::string message_of(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "unknown error";
  }
}

std::string error_line(const std::exception_ptr& thrown) {
  const json::Value message = json::encode(message_of(thrown));
  return json::serialize(json::Object{{"errorDetail", json::Object{{"message", message}}}, {"error", message}}) +
         "\r\n";
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 204:
      return "No Content";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 413:
      return "Request Entity Too Large";
    case 417:
      return "Expectation Failed";
    case 431:
      return "Request Header Fields Too Large";
    case 499:
      return "Client Closed Request";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Status";
  }
}

}  // namespace bryo::api
