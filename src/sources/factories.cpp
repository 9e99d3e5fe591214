#include <vidloom/core/error.hpp>
#include <vidloom/sources/file.hpp>
#include <vidloom/sources/images.hpp>
#include <vidloom/sources/segment.hpp>

#include <core/component.hpp>

#include <cmath>

namespace vidloom {
inline namespace v0 {
namespace {

std::string_view word(Trust trust) noexcept {
  switch (trust) {
    case Trust::automatic: return "automatic";
    case Trust::local: return "local";
    case Trust::lan: return "lan";
    case Trust::untrusted: return "untrusted";
  }
  return "untrusted";
}

Value common(const std::string& path, Trust trust, std::int64_t max_pixels, std::string_view type) {
  if (path.empty()) throw Error(Code::config, std::string(type) + ": the path is empty; name a file");
  if (max_pixels < 0) {
    throw Error(Code::config, std::string(type) + ".max_pixels is " + std::to_string(max_pixels) + "; use 0 (by trust) or more");
  }
  Value options = Value::object();
  options.set("uri", path).set("trust", word(trust)).set("max_pixels", max_pixels);
  return options;
}

Value with_threads(Value options, int threads, std::string_view type) {
  if (threads < 0) throw Error(Code::config, std::string(type) + ".threads is " + std::to_string(threads) + "; use 0 (all cores) or more");
  options.set("threads", threads);
  return options;
}

}  // namespace

std::unique_ptr<Source> file_source(const std::string& path, const FileOptions& options) {
  return make_source("file", with_threads(common(path, options.trust, options.max_pixels, "FileOptions"), options.threads, "FileOptions"));
}

std::unique_ptr<Source> segment_source(const std::string& path, const SegmentOptions& options) {
  return make_source("segment",
                     with_threads(common(path, options.trust, options.max_pixels, "SegmentOptions"), options.threads, "SegmentOptions"));
}

std::unique_ptr<Source> images_source(const std::string& path, const ImagesOptions& options) {
  if (!(options.rate > 0) || !std::isfinite(options.rate)) {
    throw Error(Code::config, "ImagesOptions.rate is " + std::to_string(options.rate) + "; use pictures a second, above 0");
  }
  return make_source("images", common(path, options.trust, options.max_pixels, "ImagesOptions").set("rate", options.rate));
}

}  // namespace v0
}  // namespace vidloom
