// Aligned columns the way Go's text/tabwriter makes them: cells end with a tab, the text after the last tab of a line
// belongs to no column, and a column's width is that of its widest cell among consecutive lines that have it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace bryo::cli {

struct TabStyle {
  std::size_t minimum = 10;
  std::size_t padding = 3;
};

std::string align_tabs(std::string_view text, TabStyle style = {});

}  // namespace bryo::cli
