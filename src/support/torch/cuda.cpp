#include <support/torch/cuda.hpp>

#include <dlfcn.h>

#include <array>
#include <cstddef>
#include <stdexcept>
#include <vector>

namespace vidloom {
namespace {

/// A library that is loaded already, or can be; the first of several names.
void* open_any(std::initializer_list<const char*> names) {
  for (const int flags : {RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD, RTLD_NOW | RTLD_LOCAL}) {
    for (const char* name : names) {
      if (void* handle = dlopen(name, flags)) return handle;
    }
  }
  throw std::runtime_error(std::string(*names.begin()) + " is not there");
}

template <class Function>
void find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (!function) throw std::runtime_error(std::string(name) + " is missing");
}

/// What is used of the driver's interface (cuda.h). Handles are pointers, results 0 or an error's number.
struct Driver {
  int (*get_attribute)(int* value, int attribute, int device) = nullptr;
  int (*load)(void** module, const void* image) = nullptr;
  int (*get_function)(void** function, void* module, const char* name) = nullptr;
  int (*launch)(void* function, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned shared, void* stream, void** arguments,
                void** extra) = nullptr;
  int (*begin_capture)(void* stream, int mode) = nullptr;
  int (*end_capture)(void* stream, void** graph) = nullptr;
  int (*instantiate)(void** runnable, void* graph, unsigned long long flags) = nullptr;
  int (*launch_graph)(void* runnable, void* stream) = nullptr;
  int (*destroy_graph)(void* graph) = nullptr;
  int (*destroy_runnable)(void* runnable) = nullptr;
  int (*error_text)(int error, const char** text) = nullptr;
  int (*current_stream)(std::int32_t device, void** stream) = nullptr;  // of torch

  Driver() {
    void* const driver = open_any({"libcuda.so.1", "libcuda.so"});
    find(driver, "cuDeviceGetAttribute", get_attribute);
    find(driver, "cuModuleLoadData", load);
    find(driver, "cuModuleGetFunction", get_function);
    find(driver, "cuLaunchKernel", launch);
    find(driver, "cuStreamBeginCapture_v2", begin_capture);
    find(driver, "cuStreamEndCapture", end_capture);
    find(driver, "cuGraphInstantiateWithFlags", instantiate);  // CUDA 11.4
    find(driver, "cuGraphLaunch", launch_graph);
    find(driver, "cuGraphDestroy", destroy_graph);
    find(driver, "cuGraphExecDestroy", destroy_runnable);
    find(driver, "cuGetErrorString", error_text);
    find(open_any({"libtorch_cuda.so"}), "aoti_torch_get_current_cuda_stream", current_stream);
  }
  void check(int result, const char* what) const {
    if (result == 0) return;
    const char* text = nullptr;
    if (error_text(result, &text) != 0 || !text) text = "unknown error";
    throw std::runtime_error(std::string(what) + ": " + text + " (" + std::to_string(result) + ")");
  }
  void* stream_of(int device) const {
    void* stream = nullptr;
    if (current_stream(device, &stream) != 0) throw std::runtime_error("torch gives no current stream");
    return stream;
  }
};

const Driver& driver() {
  static const Driver* const instance = new Driver;  // never destroyed: threads may use it while the process ends
  return *instance;
}

/// NVRTC's interface (nvrtc.h), of CUDA 11 to 13.
struct Compiler {
  int (*create)(void** program, const char* source, const char* name, int headers, const char** sources, const char** names) = nullptr;
  int (*compile)(void* program, int options, const char** texts) = nullptr;
  int (*binary_size)(void* program, std::size_t* size) = nullptr;
  int (*binary)(void* program, char* bytes) = nullptr;
  int (*log_size)(void* program, std::size_t* size) = nullptr;
  int (*log)(void* program, char* text) = nullptr;
  int (*destroy)(void** program) = nullptr;

  Compiler() {
    void* const library = open_any({"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so.11.2", "libnvrtc.so"});
    find(library, "nvrtcCreateProgram", create);
    find(library, "nvrtcCompileProgram", compile);
    find(library, "nvrtcGetCUBINSize", binary_size);
    find(library, "nvrtcGetCUBIN", binary);
    find(library, "nvrtcGetProgramLogSize", log_size);
    find(library, "nvrtcGetProgramLog", log);
    find(library, "nvrtcDestroyProgram", destroy);
  }
};

std::vector<char> compile(const char* source, const char* name, const std::string& architecture) {
  const Compiler compiler;
  void* program = nullptr;
  if (compiler.create(&program, source, name, 0, nullptr, nullptr) != 0) throw std::runtime_error("NVRTC takes no program");
  const std::string target = "--gpu-architecture=" + architecture;
  std::array<const char*, 2> options{target.c_str(), "--std=c++17"};
  const int result = compiler.compile(program, static_cast<int>(options.size()), options.data());
  std::vector<char> bytes;
  std::size_t size = 0;
  const auto read = [&](auto* size_of, auto* get) {
    if (size_of(program, &size) == 0 && size > 0) {
      bytes.resize(size);
      get(program, bytes.data());
    }
  };
  if (result == 0) {
    read(compiler.binary_size, compiler.binary);
  } else {
    read(compiler.log_size, compiler.log);
  }
  compiler.destroy(&program);
  if (result != 0 || bytes.empty()) throw std::runtime_error("NVRTC: " + std::string(bytes.begin(), bytes.end()));
  return bytes;
}

}  // namespace

CudaModule::CudaModule(const char* source, const char* name, int device) {
  constexpr int capability_major = 75, capability_minor = 76;  // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, _MINOR
  int major = 0, minor = 0;
  driver().check(driver().get_attribute(&major, capability_major, device), "cuDeviceGetAttribute");
  driver().check(driver().get_attribute(&minor, capability_minor, device), "cuDeviceGetAttribute");
  const std::vector<char> binary = compile(source, name, "sm_" + std::to_string(major) + std::to_string(minor));
  driver().check(driver().load(&module_, binary.data()), "cuModuleLoadData");
}

void* CudaModule::function(const char* name) const {
  void* function = nullptr;
  driver().check(driver().get_function(&function, module_, name), name);
  return function;
}

void launch(void* function, CudaGrid blocks, CudaGrid threads, int device, void** arguments) {
  driver().check(driver().launch(function, blocks.x, blocks.y, blocks.z, threads.x, threads.y, threads.z, 0, driver().stream_of(device), arguments, nullptr),
                 "cuLaunchKernel");
}

CudaGraph::CudaGraph(int device, const std::function<void()>& work) : device_(device) {
  constexpr int of_this_thread = 1;  // CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads go on as they like
  const Driver& cuda = driver();
  void* const stream = cuda.stream_of(device);
  void* noted = nullptr;
  cuda.check(cuda.begin_capture(stream, of_this_thread), "cuStreamBeginCapture");
  try {
    work();
  } catch (...) {
    if (cuda.end_capture(stream, &noted) == 0 && noted) cuda.destroy_graph(noted);
    throw;
  }
  cuda.check(cuda.end_capture(stream, &noted), "cuStreamEndCapture");
  const int result = cuda.instantiate(&graph_, noted, 0);
  cuda.destroy_graph(noted);
  cuda.check(result, "cuGraphInstantiate");
}

CudaGraph::~CudaGraph() { driver().destroy_runnable(graph_); }

void CudaGraph::launch() const { driver().check(driver().launch_graph(graph_, driver().stream_of(device_)), "cuGraphLaunch"); }

}  // namespace vidloom
