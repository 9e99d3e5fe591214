#include <adapters/opencv/logos/reference_files.hpp>

#include <adapters/opencv/logos/alpha.hpp>
#include <core/component.hpp>
#include <vidloom/core/error.hpp>
#include <vidloom/core/log.hpp>
#include <vidloom/source.hpp>

#include <opencv2/core.hpp>

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <map>
#include <mutex>
#include <string_view>
#include <utility>
#include <variant>

namespace vidloom {
inline namespace v0 {
namespace logo_search {
namespace {

namespace fs = std::filesystem;

// Longest side, in pixels, at which an SVG is drawn.
constexpr int drawn_side = 512;
constexpr std::string_view kinds = "PNG, JPEG, WebP, TIFF, BMP, PNM or SVG";

Error refused(const std::string& why) { return Error(Code::config, "logos.references: " + why); }

/// By its name: what is in it is judged when it is read, so that a damaged picture is an error and a README is not.
bool looks_like_picture(const fs::path& path) {
  std::string extension = path.extension().string();
  std::ranges::transform(extension, extension.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  static constexpr std::array<std::string_view, 14> known{".png", ".jpg", ".jpeg", ".jpe", ".webp", ".tif", ".tiff", ".bmp", ".pbm", ".pgm", ".ppm", ".pnm", ".pam", ".svg"};
  return std::ranges::find(known, extension) != known.end();
}

std::vector<fs::path> sorted_entries(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (auto entry = fs::directory_iterator(folder, error); !error && entry != fs::directory_iterator(); entry.increment(error)) {
    if (!entry->path().filename().string().starts_with('.')) entries.push_back(entry->path());
  }
  if (error) throw refused(folder.string() + " cannot be read: " + error.message());
  std::ranges::sort(entries);
  return entries;
}

cv::Mat matrix_of(const Image& image) {
  const cv::Mat borrowed(image.size().height, image.size().width, CV_8UC3, const_cast<std::byte*>(image.bytes().data()), static_cast<std::size_t>(image.stride()));
  return borrowed.clone();
}

Reference read_reference(const std::string& path, Method method) try {
  const auto source = make_source("images", Value::object().set("uri", path).set("svg_side", drawn_side));
  SourceContext context{.cpu = CpuGate::process()};
  source->open(context);
  const ReadResult result = source->read();
  const Frame* const frame = std::get_if<Frame>(&result);
  if (!frame) throw Error(Code::config, path + " holds no picture");
  Reference made = make_reference(matrix_of(frame->image({.format = ImageSpec::Format::bgr8})), alpha_of(*frame), method);
  source->close();
  made.file = path;
  return made;
} catch (const Error& error) {
  if (error.code == Code::not_built) throw;
  throw refused(std::string(error.what()) + "; give a whole picture, or take it out of the folder");
} catch (const cv::Exception& error) {
  throw refused(path + ": OpenCV: " + error.msg);
}

/// Equal for files that did not change.
std::string key_of(const ReferenceFiles& files, Method method) {
  std::string key = std::to_string(static_cast<int>(method));
  for (const ReferenceFile& file : files.files) {
    std::error_code ignored;
    key += '\n' + fs::absolute(file.path, ignored).string() + '\n' + std::to_string(file.brand) + ' ' + std::to_string(fs::file_size(file.path, ignored)) + ' ' +
           std::to_string(fs::last_write_time(file.path, ignored).time_since_epoch().count());
  }
  return key;
}

std::shared_ptr<const std::vector<Reference>> make_references(const ReferenceFiles& files, Method method) {
  auto made = std::make_shared<std::vector<Reference>>();
  std::size_t hopeless = 0;
  std::string why;
  for (const std::string& path : files.skipped) log(LogLevel::warning, "adapter", "logos: " + path + " is no picture (" + std::string(kinds) + "); skipped");
  for (const ReferenceFile& file : files.files) {
    Reference reference = read_reference(file.path, method);
    reference.brand = static_cast<int>(file.brand);
    if (reference.hopeless) {
      ++hopeless;
      why = file.path + ": " + reference.weakness;
      log(LogLevel::warning, "adapter", "logos: " + why + ", so it is not looked for");
      continue;
    }
    if (!reference.weakness.empty()) {
      log(LogLevel::warning, "adapter", "logos: " + file.path + ": " + reference.weakness + ", so only a very good match of it counts; give a picture with more of the brand's own details");
    }
    made->push_back(std::move(reference));
  }
  if (made->empty()) throw refused("none of " + std::to_string(hopeless) + " pictures shows anything to look for; " + why);
  return made;
}

}  // namespace

ReferenceFiles list_references(const std::string& path) {
  ReferenceFiles listed;
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) throw refused("there is no " + path + "; give a folder of pictures, one per brand, or a picture");
  if (error) throw refused(path + ": " + error.message());
  std::map<std::string, std::vector<std::string>> by_brand;
  if (!fs::is_directory(status)) {
    by_brand[fs::path(path).stem().string()].push_back(path);
  } else {
    for (const fs::path& entry : sorted_entries(path)) {
      if (fs::is_directory(entry, error)) {
        for (const fs::path& file : sorted_entries(entry)) {
          if (looks_like_picture(file) && !fs::is_directory(file, error)) by_brand[entry.filename().string()].push_back(file.string());
          else listed.skipped.push_back(file.string());
        }
      } else if (looks_like_picture(entry)) {
        by_brand[entry.stem().string()].push_back(entry.string());
      } else {
        listed.skipped.push_back(entry.string());
      }
    }
    if (by_brand.empty()) throw refused(path + " holds no picture; put " + std::string(kinds) + " pictures into it, one per brand, or a sub-folder of them per brand");
  }
  for (const auto& [brand, files] : by_brand) {
    for (const std::string& file : files) listed.files.push_back({file, listed.brands.size()});
    listed.brands.push_back(brand);
  }
  return listed;
}

std::shared_ptr<const std::vector<Reference>> read_references(const ReferenceFiles& files, Method method) {
  struct Entry {
    std::mutex loading;
    std::weak_ptr<const std::vector<Reference>> references;
  };
  static std::mutex mutex;
  static std::map<std::string, std::shared_ptr<Entry>> entries;
  std::shared_ptr<Entry> entry;
  {
    const std::lock_guard lock(mutex);
    std::erase_if(entries, [](const auto& known) { return known.second.use_count() == 1 && known.second->references.expired(); });
    auto& known = entries[key_of(files, method)];
    if (!known) known = std::make_shared<Entry>();
    entry = known;
  }
  const std::lock_guard lock(entry->loading);
  std::shared_ptr<const std::vector<Reference>> references = entry->references.lock();
  if (!references) entry->references = references = make_references(files, method);
  return references;
}

}  // namespace logo_search
}  // namespace v0
}  // namespace vidloom
