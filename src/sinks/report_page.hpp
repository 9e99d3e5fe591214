#pragma once
/// A report's HTML.

#include <sinks/report_stream.hpp>

#include <memory>
#include <string>
#include <vector>

namespace vidloom {
inline namespace v0 {

/// \param title  "": made of the streams' names. \param streams  ended ones, in their order.
std::string report_page(const std::string& title, const std::vector<std::shared_ptr<const ReportStream>>& streams);

}  // namespace v0
}  // namespace vidloom
