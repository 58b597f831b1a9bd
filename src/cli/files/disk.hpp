// The few things that commands do to files of this side. Errors name the path.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bryo::cli {

// nullopt when it is not there. Error for what cannot be read, or is no regular file.
std::optional<std::string> read_whole_file(const std::string& path);
// Something of that name is there: a link that leads nowhere counts.
bool is_there(const std::string& path);
// Makes what is missing of a directory's path; returns what was made, outermost first.
std::vector<std::string> make_directories(const std::string& path, mode_t mode = 0755);
// A new file, renamed over what is there: a program that runs keeps its old one.
void write_whole_file(const std::string& path, std::string_view text, mode_t mode);
void remove_file(const std::string& path);
// False when it is not empty.
bool remove_empty_directory(const std::string& path);
std::string parent_of(const std::string& path);

}  // namespace bryo::cli
