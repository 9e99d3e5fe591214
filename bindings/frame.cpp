// Frame and Image. Pictures come in by copy; packed pictures go out read-only, without a copy, keeping their Image alive.
#include <python.hpp>

#include <pybind11/numpy.h>

#include <cstring>

namespace vidloom::bindings {
namespace {

using Bytes = std::vector<std::byte>;

ImageSpec::Format format_from(const std::string& name, const char* field) {
  if (name == "rgb") return ImageSpec::Format::rgb8;
  if (name == "bgr") return ImageSpec::Format::bgr8;
  if (name == "gray") return ImageSpec::Format::gray8;
  throw Error(Code::config, std::string(field) + " is '" + name + "'; use 'rgb', 'bgr' or 'gray'");
}

ColourMode mode_from(const std::string& name) {
  if (name == "exact") return ColourMode::exact;
  if (name == "fast") return ColourMode::fast;
  if (name == "opencv_compat") return ColourMode::opencv_compat;
  throw Error(Code::config, "mode is '" + name + "'; use 'exact', 'fast' or 'opencv_compat'");
}

Filter filter_from(const std::string& name) {
  if (name == "bicubic") return Filter::bicubic;
  if (name == "bilinear") return Filter::bilinear;
  throw Error(Code::config, "filter is '" + name + "'; use 'bicubic' or 'bilinear'");
}

std::string format_name(ImageSpec::Format format) {
  return format == ImageSpec::Format::rgb8 ? "rgb" : format == ImageSpec::Format::bgr8 ? "bgr" : "gray";
}

std::string shape_text(const py::array& array) { return text_from(py::str(py::object(array.attr("shape")))); }

FrameTime time_from(py::handle pts, py::handle time_base) {
  FrameTime time;
  if (pts.is_none() && time_base.is_none()) return time;
  time.pts = pts.is_none() ? 0 : pts.cast<std::int64_t>();
  time.time_base = time_base.is_none() ? Rational{1, 25} : rational_from(time_base, "time_base");
  time.media_time = from_pts(time.pts, time.time_base);
  return time;
}

Frame frame_from_array(const py::object& object, const std::string& format_text, py::handle pts, py::handle time_base) {
  const ImageSpec::Format format = format_from(format_text, "format");
  const auto array = py::array::ensure(object);
  if (!array) {
    PyErr_Clear();
    throw Error(Code::config, "a picture is of type " + py::cast<std::string>(py::type::of(object).attr("__name__")) +
                                  "; use a uint8 array of shape (height, width, 3) or (height, width)");
  }
  if (!array.dtype().is(py::dtype::of<std::uint8_t>()))
    throw Error(Code::config, "a picture has dtype " + text_from(py::str(py::object(array.dtype()))) + "; use uint8, 0 to 255");
  const bool gray = array.ndim() == 2 || (array.ndim() == 3 && array.shape(2) == 1);
  if ((!gray && (array.ndim() != 3 || array.shape(2) != 3)) || array.size() == 0)
    throw Error(Code::config, "a picture has shape " + shape_text(array) + "; use (height, width, 3) or, for gray, (height, width)");
  if (!gray && format == ImageSpec::Format::gray8)
    throw Error(Code::config,
                "a picture has shape " + shape_text(array) + " and format 'gray'; use (height, width), or format 'rgb' or 'bgr'");

  const auto height = static_cast<std::size_t>(array.shape(0)), width = static_cast<std::size_t>(array.shape(1));
  const std::size_t channels = gray ? 1 : 3;
  const auto owner = std::make_shared<Bytes>(height * width * channels);
  const auto* first = static_cast<const std::byte*>(array.data());
  const py::ssize_t row = array.strides(0), column = array.strides(1), channel = gray ? 0 : array.strides(2);
  {
    const NoGil released;  // `object` is kept by the caller for as long as this takes
    const bool swap = format == ImageSpec::Format::bgr8;
    std::byte* to = owner->data();
    const bool packed_rows = column == static_cast<py::ssize_t>(channels) && (gray || channel == 1) && !swap;
    for (std::size_t y = 0; y < height; ++y) {
      const std::byte* from = first + static_cast<py::ssize_t>(y) * row;
      if (packed_rows) {
        std::memcpy(to, from, width * channels);
        to += width * channels;
        continue;
      }
      for (std::size_t x = 0; x < width; ++x, from += column)
        for (std::size_t c = 0; c < channels; ++c) *to++ = from[static_cast<py::ssize_t>(swap && !gray ? 2 - c : c) * channel];
    }
  }
  FrameInfo info;
  info.time = time_from(pts, time_base);
  info.keyframe = true;
  info.colour = {gray ? Matrix::unknown : Matrix::rgb, Range::full, Transfer::unknown, ChromaSite::unknown};
  const PlaneView plane{owner->data(), static_cast<std::ptrdiff_t>(width * channels), {static_cast<int>(width), static_cast<int>(height)}};
  return Frame::adopt({&plane, 1}, gray ? "gray" : "rgb24", info, owner);
}

std::string path_from(const py::object& path) {
  return py::bytes(py::module_::import("os").attr("fsencode")(path)).cast<std::string>();
}

template <class Owner>
py::array view(const std::byte* data, std::vector<py::ssize_t> shape, std::vector<py::ssize_t> strides, const Owner& owner) {
  py::array array(py::dtype::of<std::uint8_t>(), std::move(shape), std::move(strides), data, py::cast(owner));
  py::detail::array_proxy(array.ptr())->flags &= ~py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
  return array;
}

}  // namespace

TensorSpec tensor_spec(py::handle size, const std::string& fit, const std::array<float, 3>& mean, const std::array<float, 3>& std,
                       const std::string& dtype, const std::string& mode, const std::string& filter) {
  TensorSpec spec;
  spec.mode = mode_from(mode);
  spec.filter = filter_from(filter);
  spec.size = size_from(size, "size");
  if (spec.size.empty()) throw Error(Code::config, "size is None; use (width, height) in pixels");
  if (fit == "centre_crop")
    spec.fit = TensorSpec::Fit::centre_crop;
  else if (fit == "letterbox")
    spec.fit = TensorSpec::Fit::letterbox;
  else if (fit == "stretch")
    spec.fit = TensorSpec::Fit::stretch;
  else
    throw Error(Code::config, "fit is '" + fit + "'; use 'centre_crop', 'letterbox' or 'stretch'");
  if (dtype == "float32")
    spec.dtype = TensorSpec::DType::f32;
  else if (dtype == "float16")
    spec.dtype = TensorSpec::DType::f16;
  else if (dtype == "bfloat16")
    spec.dtype = TensorSpec::DType::bf16;
  else if (dtype == "uint8")
    spec.dtype = TensorSpec::DType::u8;
  else
    throw Error(Code::config, "dtype is '" + dtype + "'; use 'float32', 'float16', 'bfloat16' or 'uint8'");
  for (std::size_t c = 0; c < 3; ++c) {
    spec.mean[c] = mean[c];
    spec.std[c] = std[c];
    if (!(std[c] > 0)) throw Error(Code::config, "std has a value of " + std::to_string(std[c]) + "; use values above 0");
  }
  return spec;
}

namespace {

std::vector<py::ssize_t> image_shape(const Image& image) {
  std::vector<py::ssize_t> shape{image.size().height, image.size().width};
  if (image.channels() > 1) shape.push_back(image.channels());
  return shape;
}

std::vector<py::ssize_t> image_strides(const Image& image) {
  std::vector<py::ssize_t> strides{image.stride(), image.channels()};
  if (image.channels() > 1) strides.push_back(1);
  return strides;
}

void bind_image(py::module_& module) {
  py::class_<Image, py::smart_holder>(module, "Image", py::buffer_protocol(),
                                      "A packed, upright picture, uint8, (height, width, 3) or, for gray, (height, width). Read-only.")
      .def_property_readonly(
          "size", [](const Image& self) { return to_tuple(self.size()); }, "(width, height) in pixels.")
      .def_property_readonly(
          "format", [](const Image& self) { return format_name(self.format()); }, "'rgb', 'bgr' or 'gray'.")
      .def_property_readonly("shape", [](const Image& self) { return py::tuple(py::cast(image_shape(self))); })
      .def_buffer([](const Image& self) {
        return py::buffer_info(const_cast<std::byte*>(self.bytes().data()), 1, py::format_descriptor<std::uint8_t>::format(),
                               static_cast<py::ssize_t>(image_shape(self).size()), image_shape(self), image_strides(self), true);
      })
      .def(
          "numpy", [](const Image& self) { return view(self.bytes().data(), image_shape(self), image_strides(self), self); },
          "The pixels as a read-only array that keeps this picture alive; no copy.")
      .def(
          "__array__",
          [](const Image& self, const py::object& dtype, const py::object&) {
            py::object array = view(self.bytes().data(), image_shape(self), image_strides(self), self);
            return dtype.is_none() ? array : array.attr("astype")(dtype);
          },
          py::arg("dtype") = py::none(), py::arg("copy") = py::none())
      .def(
          "__dlpack__",
          [](const Image& self, const py::kwargs& options) {
            const py::object copy = view(self.bytes().data(), image_shape(self), image_strides(self), self).attr("copy")();
            return copy.attr("__dlpack__")(**options);
          },
          "A fresh, writable copy for torch and others: a borrowed picture must not be written to.")
      .def("__dlpack_device__", [](const Image&) { return py::make_tuple(1, 0); })
      .def(
          "to_display",
          [](const Image& self, const py::object& xyxy) {
            const auto boxes = py::array_t<float, py::array::c_style | py::array::forcecast>::ensure(xyxy);
            if (!boxes || boxes.size() % 4 != 0 || (boxes.ndim() > 0 && boxes.size() > 0 && boxes.shape(boxes.ndim() - 1) != 4)) {
              PyErr_Clear();
              throw Error(Code::config, "to_display() takes boxes of shape (N, 4) or (4,): x1, y1, x2, y2 in pixels of this picture");
            }
            py::array_t<float> result(std::vector<py::ssize_t>(boxes.shape(), boxes.shape() + boxes.ndim()));
            const float* from = boxes.data();
            float* to = result.mutable_data();
            for (py::ssize_t i = 0; i < boxes.size(); i += 4) {
              const Box box = self.to_display({from[i], from[i + 1], from[i + 2], from[i + 3]});
              to[i] = box.x1, to[i + 1] = box.y1, to[i + 2] = box.x2, to[i + 3] = box.y2;
            }
            return result;
          },
          py::arg("xyxy"), "Boxes in pixels of this picture -> display pixels of its frame; same shape, float32.")
      .def("__repr__", [](const Image& self) {
        return "<vidloom.Image " + std::to_string(self.size().width) + "x" + std::to_string(self.size().height) + " " +
               format_name(self.format()) + ">";
      });
}

}  // namespace

void bind_frame(py::module_& module) {
  bind_image(module);
  module.def(
      "imaging_stats",
      [] {
        const ImagingStats stats = imaging_stats();
        py::dict dict;
        dict["converted"] = stats.converted;
        dict["rgb_full_size"] = stats.rgb_full_size;
        dict["buffers_allocated"] = stats.buffers_allocated;
        return dict;
      },
      "What conversion did in this process so far: pictures and tensors made ('converted'), those that were RGB of a frame's own size\n"
      "('rgb_full_size'), pixel buffers taken from the heap ('buffers_allocated': no more of them in steady state).");
  py::class_<Frame, py::smart_holder>(module, "Frame",
                                      "One immutable picture in the decoder's own planes, and when it happened. Thread-safe.")
      .def_static("from_array", &frame_from_array, py::arg("a"), py::arg("format") = "rgb", py::arg("pts") = py::none(),
                  py::arg("time_base") = py::none(),
                  "Copies a uint8 array of shape (height, width, 3) or, for gray, (height, width), any strides.\n\n"
                  "format: 'rgb', 'bgr' or 'gray'. time_base: (numerator, denominator) or Fraction, seconds of one pts; 1/25 where only\n"
                  "pts is given. Without both the frame has no time of its own: whoever runs it counts 25 a second.\n"
                  "Raises ConfigError on any other dtype, shape or format.")
      .def(
          "image",
          [](const Frame& self, const std::string& format, const py::object& size, const std::string& mode, const std::string& filter) {
            const ImageSpec spec{size_from(size, "size"), format_from(format, "format"), filter_from(filter), mode_from(mode)};
            const NoGil released;
            return self.image(spec);
          },
          py::arg("format") = "rgb", py::arg("size") = py::none(), py::kw_only(), py::arg("mode") = "exact", py::arg("filter") = "bicubic",
          "The picture as 'rgb', 'bgr' or 'gray', stretched to size (width, height); None: the display size. Converted once, then shared.\n\n"
          "mode: 'exact', 'fast' or 'opencv_compat' (what cv2.VideoCapture and cv2.resize give). filter: 'bicubic' or 'bilinear',\n"
          "antialiased as in Pillow.")
      .def(
          "luma",
          [](const Frame& self) {
            PlaneView plane;
            {
              const NoGil released;
              plane = self.luma();
            }
            return view(plane.data, {plane.size.height, plane.size.width}, {static_cast<py::ssize_t>(plane.stride), 1}, self);
          },
          "The decoder's own 8-bit Y, cropped, in coded orientation: (height, width) uint8, read-only, no copy.")
      .def(
          "tensor",
          [](const Frame& self, const py::object& size, const std::string& fit, const std::array<float, 3>& mean,
             const std::array<float, 3>& std, const std::string& dtype, const std::string& mode, const std::string& filter) {
            const TensorSpec spec = tensor_spec(size, fit, mean, std, dtype, mode, filter);
            const py::dtype type = spec.dtype == TensorSpec::DType::bf16 ? py::dtype::of<std::uint16_t>() : py::dtype(dtype);
            py::array tensor(type, std::vector<py::ssize_t>{3, spec.size.height, spec.size.width});
            const std::span slot(static_cast<std::byte*>(tensor.mutable_data()), slot_bytes(spec));
            {
              const NoGil released;
              (void)self.write_tensor(spec, slot);
            }
            return tensor;
          },
          py::arg("size"), py::kw_only(), py::arg("fit") = "centre_crop", py::arg("mean") = std::array<float, 3>{0, 0, 0},
          py::arg("std") = std::array<float, 3>{1, 1, 1}, py::arg("dtype") = "float32", py::arg("mode") = "exact", py::arg("filter") = "bicubic",
          "Model input (3, height, width), R, G, B, from the planes: 0..1 less mean over std, uint8 0..255.\n\n"
          "size: (width, height) or one number. fit: 'centre_crop' (Hugging Face's rule), 'letterbox' (114/255 around) or 'stretch'.\n"
          "dtype: 'float32', 'float16', 'uint8', or 'bfloat16' (its bits as uint16: NumPy has no such type).\n"
          "mode: 'exact', 'fast' or 'opencv_compat' (what cv2.VideoCapture and cv2.resize give). filter: 'bicubic' or 'bilinear',\n"
          "antialiased as in Pillow. Written once, straight into the array, without the GIL.")
      .def(
          "save",
          [](const Frame& self, const py::object& path) {
            const std::string name = path_from(path);
            const NoGil released;
            save_picture(self, name);
          },
          py::arg("path"), "Writes the picture, cropped and upright, as a PNG file; one of that name is replaced at once. Raises OutputError.")
      .def(
          "save_crop",
          [](const Frame& self, const py::object& detection, const py::object& path) {
            const py::object xyxy = py::hasattr(detection, "xyxy") ? py::object(detection.attr("xyxy")) : detection;
            std::array<float, 4> box{};
            try {
              box = py::tuple(xyxy).cast<std::array<float, 4>>();
            } catch (const std::exception&) {
              PyErr_Clear();
              throw Error(Code::config, "save_crop() got " + text_from(py::repr(detection)) + "; use a vl.Detection or (x1, y1, x2, y2) in display pixels");
            }
            const std::string name = path_from(path);
            const NoGil released;
            save_crop(self, {box[0], box[1], box[2], box[3]}, name);
          },
          py::arg("detection"), py::arg("path"),
          "Writes the pixels that a detection, or a box (x1, y1, x2, y2) in display pixels, touches as a PNG file. Raises OutputError,\n"
          "ConfigError where it lies outside the picture.")
      .def(
          "with_time",
          [](const Frame& self, const py::object& pts, const py::object& time_base) {
            FrameInfo info = self.info();
            info.time = time_from(pts, time_base);
            return self.with_info(info);
          },
          py::arg("pts"), py::arg("time_base"), "The same picture at another time. Shares the pixels.")
      .def_property_readonly(
          "size", [](const Frame& self) { return to_tuple(self.size()); }, "(width, height) in display pixels: every box is in this space.")
      .def_property_readonly("coded_size", [](const Frame& self) { return to_tuple(self.coded_size()); })
      .def_property_readonly("pixel_format", [](const Frame& self) { return std::string(self.pixel_format()); })
      .def_property_readonly(
          "stream", [](const Frame& self) { return static_cast<std::uint32_t>(self.info().stream); },
          "Number of the stream within this process.")
      .def_property_readonly("epoch", [](const Frame& self) { return self.info().epoch; })
      .def_property_readonly("sequence", [](const Frame& self) { return self.info().sequence; })
      .def_property_readonly("pts", [](const Frame& self) { return self.info().time.pts; })
      .def_property_readonly(
          "time_base", [](const Frame& self) { return to_tuple(self.info().time.time_base); },
          "(numerator, denominator): seconds of one pts.")
      .def_property_readonly(
          "media_time", [](const Frame& self) { return seconds(self.info().time.media_time); }, "Seconds on the container's own timeline.")
      .def_property_readonly("captured_at", [](const Frame& self) { return utc(self.info().time.captured_at); })
      .def_property_readonly("clock", [](const Frame& self) { return std::string(to_string(self.info().time.clock)); })
      .def_property_readonly("clock_error", [](const Frame& self) { return seconds(self.info().time.clock_error); })
      .def_property_readonly(
          "duration", [](const Frame& self) { return seconds(self.info().duration); }, "Seconds; 0: not known.")
      .def_property_readonly("health", [](const Frame& self) { return std::string(to_string(self.info().health)); })
      .def_property_readonly("keyframe", [](const Frame& self) { return self.info().keyframe; })
      .def_property_readonly("sample_aspect", [](const Frame& self) { return to_tuple(self.info().sample_aspect); })
      .def_property_readonly("rotation_degrees", [](const Frame& self) { return self.info().rotation_degrees; })
      .def("__repr__", [](const Frame& self) {
        return "<vidloom.Frame " + std::to_string(self.size().width) + "x" + std::to_string(self.size().height) + " at " +
               std::to_string(seconds(self.info().time.media_time)) + " s>";
      });
}

}  // namespace vidloom::bindings
