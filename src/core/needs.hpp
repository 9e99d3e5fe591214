#pragma once
/// What a component was built against, where that is a library which must be of one version: PyTorch, whose C++ interface changes
/// with each. The build writes it beside the component ("libvidloom_torch.needs"); it is read before the component is loaded, because
/// afterwards a wrong version is a missing symbol at best and a crash at worst.

#include <vidloom/core/export.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vidloom {
inline namespace v0 {

struct Needs {
  std::string product;               ///< "torch"
  std::string version;               ///< it was built against, such as "2.13.0+cpu"
  std::string library;               ///< the product's library that the component links: "libtorch_cpu.so"
  std::vector<std::string> folders;  ///< where the component's loader will look for it, in that order
};

/// \return what stands beside `component_file`, or nothing where there is no such file. Never throws.
VIDLOOM_API std::optional<Needs> needs_of(const std::string& component_file);

/// \return "2.13" of "2.13.0+cpu".
VIDLOOM_API std::string_view minor_version(std::string_view version) noexcept;

/// \return the folder of the library that the process has already, else of the one that its loader would take, or "". Loads nothing.
VIDLOOM_API std::string folder_of(const Needs& needs);

/// \return "" when the component can be loaded, else what is wrong and the line that mends it: ", which was built for ...".
/// Looks at the library in folder_of(needs). Loads nothing.
VIDLOOM_API std::string unmet(const Needs& needs);

}  // namespace v0
}  // namespace vidloom
