#pragma once
/// The sources of this component, made from their options: "uri", "trust", "max_pixels", "threads", "rate".

#include <vidloom/core/value.hpp>
#include <vidloom/source.hpp>

#include <memory>

namespace vidloom {

/// \param threads  of the decoder when the options do not say; 0: enough to keep all cores busy.
std::unique_ptr<Source> make_file_source(const Value& options, int threads);
std::unique_ptr<Source> make_images_source(const Value& options);
std::unique_ptr<Source> make_lavfi_source(const Value& options);

}  // namespace vidloom
