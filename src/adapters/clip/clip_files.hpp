#pragma once
/// A CLIP model on disk: where its files are and what its configuration says. Layouts: Hugging Face transformers and open_clip.

#include <adapters/clip/tower_kernels.hpp>
#include <core/safetensors.hpp>
#include <vidloom/core/geometry.hpp>
#include <vidloom/core/value.hpp>
#include <vidloom/imaging/tensor_spec.hpp>

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vidloom {
inline namespace v0 {

struct TowerConfig {
  std::size_t width = 0, layers = 0, heads = 0, hidden = 0;
  Activation activation = Activation::quick_gelu;
  float epsilon = 1e-5F;
};

struct ClipConfig {
  TowerConfig image, text;
  std::size_t image_size = 224, patch = 32;
  std::size_t context = 77, vocabulary = 49408;
  std::size_t embedding = 512;
  TensorSpec pixels{};  ///< size, fit, mean, std and filter of the model's input
};

struct ClipFiles {
  enum class Layout : unsigned char { hugging_face, open_clip };
  std::string name;  ///< as people call the model: its hub id, else its folder's name
  std::filesystem::path folder;
  Layout layout = Layout::hugging_face;
  ClipConfig config;
  std::vector<std::filesystem::path> weights;
};

/// \param model  a folder, a .safetensors file, or a name on the Hugging Face hub whose files are in VIDLOOM_MODEL_PATH or in the hub's
/// cache (HF_HUB_CACHE, HF_HOME, TRANSFORMERS_CACHE). Nothing is downloaded.
/// Throws Error(model) that says what was looked for, where, and the command that gets it.
VIDLOOM_API ClipFiles find_clip(const std::string& model);

/// All tensors of a model's files by name, with the shape its configuration asks for.
class VIDLOOM_API ClipWeights {
 public:
  /// Throws Error(model) on a damaged file.
  explicit ClipWeights(const ClipFiles& files);

  bool has(std::string_view name) const noexcept;
  /// Throws Error(model) naming the tensor when it is missing or of another shape.
  const StoredTensor& tensor(std::string_view name, std::span<const std::size_t> shape) const;
  /// The same as floats; throws Error(model) when a number in it is not finite.
  std::vector<float> floats(std::string_view name, std::initializer_list<std::size_t> shape) const;
  /// Of the numbers' places and a sample of the numbers: 64 hex digits. Reads half a megabyte, not the file.
  std::string identity() const;
  const std::string& path() const noexcept { return files_.front()->path(); }
  void release_pages() const noexcept;

 private:
  std::vector<std::unique_ptr<const Safetensors>> files_;
};

}  // namespace v0
}  // namespace vidloom
