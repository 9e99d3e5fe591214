#pragma once
/// What is registered, and the loading of components. Private to src/core.

#include <core/component.hpp>
#include <vidloom/registry.hpp>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vidloom {
inline namespace v0 {

/// What a component handed over, kept aside until its entry point has returned.
class ComponentParts final : public Registry {
 public:
  void add_adapter(std::string_view name, AdapterFactory factory) override { adapters[std::string(name)] = std::move(factory); }
  void add_source(std::string_view name, SourceFactory factory) override { sources[std::string(name)] = std::move(factory); }
  void add_sink(std::string_view name, SinkFactory factory) override { sinks[std::string(name)] = std::move(factory); }
  void set_converter(std::shared_ptr<const PixelConverter> made) override { converter = std::move(made); }
  void set_tensor_writer(std::shared_ptr<const TensorWriter> made) override { tensor_writer = std::move(made); }
  void set_picture_encoder(std::shared_ptr<const PictureEncoder> made) override { picture_encoder = std::move(made); }
  void set_text_renderer(std::shared_ptr<const TextRenderer> made) override { text_renderer = std::move(made); }
  void describe(std::string_view text) override { description = text; }

  std::map<std::string, AdapterFactory, std::less<>> adapters;
  std::map<std::string, SourceFactory, std::less<>> sources;
  std::map<std::string, SinkFactory, std::less<>> sinks;
  std::shared_ptr<const PixelConverter> converter;
  std::shared_ptr<const TensorWriter> tensor_writer;
  std::shared_ptr<const TextRenderer> text_renderer;
  std::shared_ptr<const PictureEncoder> picture_encoder;
  std::string description;
};

class RegistryTables {
 public:
  struct Component {
    enum class State : std::uint8_t { known, loading, loaded } state = State::known;
    ComponentEntry linked = nullptr;  ///< of a static build
    ComponentParts parts{};
    std::string path{};
  };
  struct UserAdapter {
    AdapterDescription description;
    AdapterFactory factory;
  };

  /// Whether it is loaded or linked.
  bool has_component(std::string_view name);
  void link(std::string_view name, ComponentEntry entry);
  /// Fills in loaded, path and detail.
  void describe(ComponentStatus& status);
  SourceFactory component_source(std::string_view name);
  SinkFactory component_sink(std::string_view name);
  AdapterFactory component_adapter(std::string_view name);

  std::mutex mutex;                 ///< guards all below but the atomics; never held while foreign code runs
  std::condition_variable changed;  ///< a component left `loading`
  std::map<std::string, Component, std::less<>> components;
  std::map<std::string, UserAdapter, std::less<>> adapters;
  std::map<std::string, SourceFactory, std::less<>> sources;
  std::map<std::string, SinkFactory, std::less<>> sinks;
  std::atomic<const PixelConverter*> converter{nullptr};
  std::atomic<const TensorWriter*> tensor_writer{nullptr};
  std::atomic<const TextRenderer*> text_renderer{nullptr};
  std::atomic<const PictureEncoder*> picture_encoder{nullptr};
};

/// The one of this process. Never destroyed; usable in the child of a fork.
RegistryTables& registry_tables();

/// One thread loads a component, others wait for it. A load that throws leaves the component as it was.
class ComponentLoad {
 public:
  ComponentLoad(RegistryTables& tables, std::string_view name);
  ~ComponentLoad();
  ComponentLoad(const ComponentLoad&) = delete;
  ComponentLoad& operator=(const ComponentLoad&) = delete;
  bool done() const noexcept { return done_; }
  ComponentEntry linked() const noexcept { return linked_; }
  void commit(ComponentParts parts, const std::string& path);

 private:
  RegistryTables& tables_;
  std::string name_;
  ComponentEntry linked_ = nullptr;
  bool done_ = false;
};

}  // namespace v0
}  // namespace vidloom
