#pragma once
/// Results as Python holds them: cheap views that share one C++ result.

#include <python.hpp>

#include <memory>
#include <string>
#include <vector>

namespace vidloom::bindings {

/// Names of all analyses that might have been due: for KeyErrors that help.
using Names = std::shared_ptr<const std::vector<std::string>>;

struct OutcomeView {
  std::shared_ptr<const Outcome> outcome;
  Size frame_size;
};
struct ResultView {
  std::shared_ptr<const FrameResult> result;
  Names known;
};
struct ReportView {
  std::shared_ptr<const Report> report;
  Names known;
};

}  // namespace vidloom::bindings
