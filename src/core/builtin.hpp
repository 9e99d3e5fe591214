#pragma once
/// What libvidloom itself brings under a name of the catalogue. Declared here, defined beside the thing, so that the registry
/// in core includes nothing that stands above it. `options` as the factories of registry.hpp receive them; an adapter's are
/// checked and complete (defaults filled in).

#include <vidloom/detection_adapter.hpp>
#include <vidloom/sink.hpp>
#include <vidloom/source.hpp>

#include <memory>

namespace vidloom {
inline namespace v0 {

std::unique_ptr<DetectionAdapter> make_visual(const Value& options);  // src/adapters/visual.cpp
std::unique_ptr<Source> make_test_pattern(const Value& options);      // src/sources/test_pattern.cpp
std::unique_ptr<Sink> make_jsonl_sink(const Value& options);          // src/sinks/factories.cpp, with the four below
std::unique_ptr<Sink> make_lines_sink(const Value& options);
std::unique_ptr<Sink> make_null_sink(const Value& options);
std::unique_ptr<Sink> make_video_sink(const Value& options);
std::unique_ptr<Sink> make_report_sink(const Value& options);
std::unique_ptr<Sink> make_annotate_sink(const Value& options);       // src/render/annotate.cpp
std::unique_ptr<Sink> make_sheet_sink(const Value& options);          // src/render/contact_sheet.cpp

}  // namespace v0
}  // namespace vidloom
