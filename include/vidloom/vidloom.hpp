#pragma once
/// Live video with AI in the loop: everything public, in the order the data moves. No third-party header is behind it.

// The vocabulary: what a frame, a result and an error are.
#include <vidloom/core/error.hpp>
#include <vidloom/core/geometry.hpp>
#include <vidloom/core/log.hpp>
#include <vidloom/core/time.hpp>
#include <vidloom/core/value.hpp>
#include <vidloom/core/version.hpp>
#include <vidloom/core/waiting.hpp>
#include <vidloom/imaging/image.hpp>
#include <vidloom/imaging/image_spec.hpp>
#include <vidloom/imaging/imaging_stats.hpp>
#include <vidloom/imaging/tensor_spec.hpp>
#include <vidloom/frame.hpp>
#include <vidloom/tensors.hpp>
#include <vidloom/demand.hpp>
#include <vidloom/regions.hpp>
#include <vidloom/results.hpp>

// The interfaces: subclass them.
#include <vidloom/source.hpp>
#include <vidloom/detection_adapter.hpp>
#include <vidloom/execution_strategy.hpp>
#include <vidloom/sink.hpp>

// What is there: one function each.
#include <vidloom/sources/file.hpp>
#include <vidloom/sources/images.hpp>
#include <vidloom/sources/segment.hpp>
#include <vidloom/sources/test_pattern.hpp>
#include <vidloom/adapters/clip.hpp>
#include <vidloom/adapters/faces.hpp>
#include <vidloom/adapters/logos.hpp>
#include <vidloom/adapters/motion.hpp>
#include <vidloom/adapters/people.hpp>
#include <vidloom/adapters/visual.hpp>
#include <vidloom/execution/local.hpp>
#include <vidloom/render/annotate.hpp>
#include <vidloom/render/contact_sheet.hpp>
#include <vidloom/sinks/jsonl.hpp>
#include <vidloom/sinks/lines.hpp>
#include <vidloom/sinks/null.hpp>
#include <vidloom/sinks/picture.hpp>
#include <vidloom/sinks/report.hpp>
#include <vidloom/sinks/video.hpp>

// The one who runs it, and the names.
#include <vidloom/analyzer.hpp>
#include <vidloom/registry.hpp>
