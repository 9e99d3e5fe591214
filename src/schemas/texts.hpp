#pragma once
/// The pieces the schemas are put together from.

#include <string_view>

namespace vidloom {
inline namespace v0 {

extern const std::string_view result_definitions;  ///< of a frame record: members of $defs, shared by result and report
extern const std::string_view result_head, report_head, analyses_text;

}  // namespace v0
}  // namespace vidloom
