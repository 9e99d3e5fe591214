#pragma once
/// An 8-bit 4:2:0 picture of one's own, as it is shown: cropped and upright. What is drawn and encoded is made of it.

#include <vidloom/core/export.hpp>
#include <vidloom/frame.hpp>

#include <array>
#include <cstddef>
#include <memory>
#include <string_view>

namespace vidloom {
inline namespace v0 {

class VIDLOOM_API YuvPicture {
 public:
  static constexpr std::string_view format = "yuv420p";
  struct Plane {
    std::byte* data = nullptr;
    std::ptrdiff_t stride = 0;
    Size size{};
  };

  /// The frame's own samples: turned and cut as it is shown, chroma averaged where it is finer than 4:2:0, more than 8 bits rounded.
  /// Only what is no YUV goes through RGB. Matrix, range and all other tags stay; RGB becomes BT.709 from 720 lines up, else BT.601.
  static YuvPicture upright_of(const Frame& frame);
  /// \return whether upright_of() would only copy: then the frame's planes serve as they are.
  static bool is_upright(const Frame& frame) noexcept;

  Size size() const noexcept { return planes_[0].size; }
  const std::array<Plane, 3>& planes() const noexcept { return planes_; }
  /// Of the picture: nothing left to turn or to cut.
  const FrameInfo& info() const noexcept { return info_; }
  /// What conversion takes for granted where the tags are silent: by the lines of the coded picture it was made of.
  const ColourTags& effective() const noexcept { return effective_; }
  /// Shares the memory: nothing may be drawn afterwards.
  Frame frame() const;

 private:
  YuvPicture(Size size, const FrameInfo& info);
  void take_planes(const Frame& frame);
  void take_rgb(const Frame& frame);

  std::shared_ptr<std::byte> memory_;
  std::array<Plane, 3> planes_{};
  FrameInfo info_;
  ColourTags effective_;
};

}  // namespace v0
}  // namespace vidloom
