#include "cli/format/tabwriter.hpp"

#include <algorithm>
#include <vector>

#include "base/strings.hpp"
#include "cli/format/escape.hpp"

namespace bryo::cli {
namespace {

using Line = std::vector<std::string_view>;

class Aligner {
 public:
  Aligner(std::vector<Line> lines, TabStyle style) : lines_(std::move(lines)), style_(style) {}

  std::string run() {
    format(0, lines_.size());
    if (!out_.empty()) out_.pop_back();  // the text ended without a line feed, or with one that split() turned around
    return std::move(out_);
  }

 private:
  // Writes lines [first, last), which share the columns whose widths are known already.
  void format(std::size_t first, std::size_t last) {
    const std::size_t column = widths_.size();
    std::size_t written = first;
    for (std::size_t line = first; line < last; ++line) {
      if (column + 1 >= lines_[line].size()) continue;
      write(written, line);
      std::size_t end = line;
      std::size_t width = style_.minimum;
      for (; end < last && column + 1 < lines_[end].size(); ++end) {
        const std::size_t cell = rune_count(lines_[end][column]);
        width = std::max(width, cell + style_.padding);
      }
      widths_.push_back(width);
      format(line, end);
      widths_.pop_back();
      written = end;
      line = end - 1;
    }
    write(written, last);
  }

  void write(std::size_t first, std::size_t last) {
    for (std::size_t line = first; line < last; ++line) {
      const Line& cells = lines_[line];
      for (std::size_t i = 0; i < cells.size(); ++i) {
        out_ += cells[i];
        if (i + 1 < cells.size() && i < widths_.size()) out_.append(widths_[i] - rune_count(cells[i]), ' ');
      }
      out_ += '\n';
    }
  }

  std::vector<Line> lines_;
  TabStyle style_;
  std::vector<std::size_t> widths_;
  std::string out_;
};

}  // namespace

std::string align_tabs(std::string_view text, TabStyle style) {
  std::vector<Line> lines;
  for (const std::string_view line : split(text, '\n')) lines.push_back(split(line, '\t'));
  return Aligner(std::move(lines), style).run();
}

}  // namespace bryo::cli
