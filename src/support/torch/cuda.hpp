#pragma once
/// CUDA as far as a kernel of our own needs it, found at run time in what PyTorch has loaded: libcuda (the driver), NVRTC (the compiler,
/// which PyTorch itself ships and uses) and PyTorch's C interface for its current stream. So the component builds without any CUDA
/// toolkit, and one build serves PyTorch with and without CUDA.

#include <cstdint>
#include <functional>
#include <string>

namespace vidloom {

struct CudaGrid {
  unsigned x = 1, y = 1, z = 1;
};

/// The functions of one source text on one CUDA device. Immutable; thread-safe. Stays loaded until the process ends.
class CudaModule {
 public:
  /// Compiles `source` for that device, which is the current one, in about 0.3 s. Throws std::runtime_error.
  CudaModule(const char* source, const char* name, int device);
  /// \return a handle of the function. Throws std::runtime_error.
  void* function(const char* name) const;

 private:
  void* module_ = nullptr;
};

/// Starts `function` on the current stream of torch on that device; `arguments` point to its parameters' values. Throws std::runtime_error.
void launch(void* function, CudaGrid blocks, CudaGrid threads, int device, void** arguments);

/// What was started on a stream, to be started again all at once.
class CudaGraph {
 public:
  /// Notes what `work` starts on torch's current stream of that device, which is not the default one, and runs none of it. `work` must not
  /// ask for device memory nor wait, and what it uses must stay where it is. Throws std::runtime_error, and what `work` throws.
  CudaGraph(int device, const std::function<void()>& work);
  ~CudaGraph();
  CudaGraph(const CudaGraph&) = delete;
  CudaGraph& operator=(const CudaGraph&) = delete;
  /// On torch's current stream of that device. Throws std::runtime_error.
  void launch() const;

 private:
  int device_;
  void* graph_ = nullptr;
};

}  // namespace vidloom
