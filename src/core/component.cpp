#include <core/catalogue.hpp>
#include <core/component.hpp>
#include <core/needs.hpp>
#include <core/registry.hpp>
#include <vidloom/core/error.hpp>
#include <vidloom/core/log.hpp>

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace vidloom {
inline namespace v0 {
namespace {

const ComponentEntryInfo* entry_of(std::string_view name) noexcept {
  const auto all = known_components();
  const auto found = std::ranges::find(all, name, &ComponentEntryInfo::name);
  return found == all.end() ? nullptr : &*found;
}

std::string file_of(std::string_view name) { return "libvidloom_" + std::string(name) + ".so"; }

/// The folder of libvidloom itself, then those of VIDLOOM_COMPONENT_PATH.
std::vector<std::string> search_path() {
  std::vector<std::string> folders;
  Dl_info self;
  if (dladdr(reinterpret_cast<const void*>(&require_component), &self) && self.dli_fname) {
    std::error_code error;
    const std::filesystem::path real = std::filesystem::weakly_canonical(self.dli_fname, error);
    folders.push_back((error ? std::filesystem::path(self.dli_fname) : real).parent_path().string());
  }
  const char* text = std::getenv("VIDLOOM_COMPONENT_PATH");
  for (std::string_view rest = text ? text : ""; !rest.empty();) {
    const std::size_t end = std::min(rest.find(':'), rest.size());
    if (end > 0) folders.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return folders;
}

/// \return the component's file, or "".
std::string find_file(std::string_view name, const std::vector<std::string>& folders) {
  for (const std::string& folder : folders) {
    std::error_code error;
    std::filesystem::path file = std::filesystem::path(folder) / file_of(name);
    if (std::filesystem::is_regular_file(file, error)) return file.string();
  }
  return {};
}

std::string sentence_start(std::string_view name, std::string_view needed_for) {
  return std::string(needed_for) + " needs the component '" + std::string(name) + "'";
}

std::string install_line(std::string_view name) {
  const ComponentEntryInfo* entry = entry_of(name);
  if (!entry || entry->package.empty()) return {};
  return " Install it: " + std::string(entry->package) + ".";
}

Error not_there(std::string_view name, std::string_view needed_for, [[maybe_unused]] const std::vector<std::string>& folders) {
  const ComponentEntryInfo* entry = entry_of(name);
  std::string text = sentence_start(name, needed_for);
  if (!entry || entry->package.empty()) {
    return {Code::not_built, text + ", which is not part of Vidloom " VIDLOOM_VERSION};
  }
#if defined(VIDLOOM_STATIC)
  text += ", and it is not linked into this program. Link vidloom::vidloom and call vidloom::register_components() first.";
#else
  std::string places;
  for (const std::string& folder : folders) places += (places.empty() ? "" : ", ") + folder;
  text += ": " + file_of(name) + " is not in " + (places.empty() ? "any known folder" : places) + "." + install_line(name);
#endif
  return {Code::not_built, text};
}

/// \return the entry point. Throws Error(not_built).
ComponentEntry open_component(std::string_view name, std::string_view needed_for, std::string& path) {
  const std::vector<std::string> folders = search_path();
  path = find_file(name, folders);
  if (path.empty()) throw not_there(name, needed_for, folders);
  if (const std::optional<Needs> needs = needs_of(path)) {
    if (const std::string wrong = unmet(*needs); !wrong.empty()) throw Error(Code::not_built, sentence_start(name, needed_for) + wrong);
  }
  dlerror();
  // Never closed: factories, vtables and thread-local destructors of it live on.
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  const char* text = handle ? nullptr : dlerror();
  if (!handle) {
    throw Error(Code::not_built,
                sentence_start(name, needed_for) + ", which cannot be loaded: " + (text ? text : path) + "." + install_line(name));
  }
  void* symbol = dlsym(handle, component_entry_name);
  if (!symbol) {
    throw Error(Code::not_built, sentence_start(name, needed_for) + ", but " + path + " is no component of Vidloom (" +
                                     component_entry_name + " is missing). Install Vidloom again.");
  }
  return reinterpret_cast<ComponentEntry>(symbol);
}

}  // namespace

PixelConverter::~PixelConverter() = default;
TensorWriter::~TensorWriter() = default;
TextRenderer::~TextRenderer() = default;
PictureEncoder::~PictureEncoder() = default;
Registry::~Registry() = default;

void require_component(std::string_view name, std::string_view needed_for) {
  RegistryTables& tables = registry_tables();
  ComponentLoad load(tables, name);
  if (load.done()) return;
  ComponentEntry entry = load.linked();
  std::string path;
  if (!entry) entry = open_component(name, needed_for, path);
  ComponentParts parts;
  if (entry(&parts, VIDLOOM_VERSION) != 0) {
    throw Error(Code::not_built, sentence_start(name, needed_for) + ", but " + (path.empty() ? std::string(name) : path) +
                                     " is of another build than libvidloom " VIDLOOM_VERSION ". Install both from one build.");
  }
  load.commit(std::move(parts), path);
  log(LogLevel::debug, "core", "component " + std::string(name) + " loaded" + (path.empty() ? "" : " from " + path));
}

void expect_component(std::string_view name, std::string_view needed_for) {
  if (registry_tables().has_component(name)) return;
#if defined(VIDLOOM_STATIC)
  throw not_there(name, needed_for, {});
#else
  const std::vector<std::string> folders = search_path();
  if (find_file(name, folders).empty()) throw not_there(name, needed_for, folders);
#endif
}

bool component_brings(std::string_view name, std::string_view library) {
  const std::string path = find_file(name, search_path());
  const std::optional<Needs> needs = path.empty() ? std::nullopt : needs_of(path);
  if (!needs || !unmet(*needs).empty()) return false;
  std::error_code error;
  return std::filesystem::is_regular_file(std::filesystem::path(folder_of(*needs)) / library, error);
}

void link_component(std::string_view name, ComponentEntry entry) { registry_tables().link(name, entry); }

#if !defined(VIDLOOM_STATIC)
void register_components() {}
#endif

std::vector<ComponentStatus> components(bool load) {
  std::vector<ComponentStatus> all;
  const std::vector<std::string> folders = search_path();
  for (const ComponentEntryInfo& entry : known_components()) {
    ComponentStatus status{.name = std::string(entry.name), .brings = std::string(entry.brings), .package = std::string(entry.package)};
    status.built = !entry.package.empty();
    if (!status.built) {
      status.detail = "comes with a later version";
      all.push_back(std::move(status));
      continue;
    }
    status.path = find_file(entry.name, folders);
    status.found = !status.path.empty() || registry_tables().has_component(entry.name);
    if (load && status.found) {
      try {
        require_component(entry.name, "vidloom doctor");
      } catch (const Error& error) {
        status.detail = error.what();
      }
    }
    registry_tables().describe(status);
    all.push_back(std::move(status));
  }
  return all;
}

const PixelConverter& pixel_converter(std::string_view pixel_format) {
  RegistryTables& tables = registry_tables();
  if (const PixelConverter* converter = tables.converter.load(std::memory_order_acquire)) return *converter;
  const std::string needed_for = "converting pictures (" + std::string(pixel_format) + ")";
  require_component("ffmpeg", needed_for);
  const PixelConverter* converter = tables.converter.load(std::memory_order_acquire);
  if (!converter) throw Error(Code::internal, needed_for + ": the component 'ffmpeg' brought no converter");
  return *converter;
}

const TensorWriter& tensor_writer(std::string_view device) {
  RegistryTables& tables = registry_tables();
  if (const TensorWriter* writer = tables.tensor_writer.load(std::memory_order_acquire)) return *writer;
  const std::string needed_for = "a tensor on " + std::string(device);
  require_component("torch", needed_for);
  const TensorWriter* writer = tables.tensor_writer.load(std::memory_order_acquire);
  if (!writer) throw Error(Code::internal, needed_for + ": the component 'torch' brought no writer of tensors");
  return *writer;
}

const PictureEncoder& picture_encoder(std::string_view needed_for) {
  RegistryTables& tables = registry_tables();
  if (const PictureEncoder* encoder = tables.picture_encoder.load(std::memory_order_acquire)) return *encoder;
  require_component("ffmpeg", needed_for);
  const PictureEncoder* encoder = tables.picture_encoder.load(std::memory_order_acquire);
  if (!encoder) throw Error(Code::internal, std::string(needed_for) + ": the component 'ffmpeg' brought no encoder of pictures");
  return *encoder;
}

const TextRenderer& text_renderer(std::string_view needed_for) {
  RegistryTables& tables = registry_tables();
  if (const TextRenderer* renderer = tables.text_renderer.load(std::memory_order_acquire)) return *renderer;
  require_component("pango", needed_for);
  const TextRenderer* renderer = tables.text_renderer.load(std::memory_order_acquire);
  if (!renderer) throw Error(Code::internal, std::string(needed_for) + ": the component 'pango' brought no letters");
  return *renderer;
}

std::unique_ptr<Source> make_source(std::string_view name, const Value& options) {
  require_component("ffmpeg", "source '" + std::string(name) + "'");
  const SourceFactory factory = registry_tables().component_source(name);
  if (!factory) throw Error(Code::internal, "the component 'ffmpeg' brought no source '" + std::string(name) + "'");
  return factory(options);
}

std::unique_ptr<Sink> make_component_sink(std::string_view name, const Value& options) {
  require_component("ffmpeg", "sink '" + std::string(name) + "'");
  const SinkFactory factory = registry_tables().component_sink(name);
  if (!factory) throw Error(Code::internal, "the component 'ffmpeg' brought no sink '" + std::string(name) + "'");
  return factory(options);
}

}  // namespace v0
}  // namespace vidloom
