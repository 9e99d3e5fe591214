// Source: built-in ones for Python, and Python's own for C++.
#include <sources.hpp>

#include <vidloom/core/waiting.hpp>

#include <array>
#include <tuple>

namespace vidloom::bindings {
namespace {

/// A source written in Python, called on the thread that reads.
class PythonSource final : public Source {
 public:
  explicit PythonSource(Held host) : host_(std::move(host)) {}

  SourceInfo open(SourceContext& context) override {
    stats_ = {};
    stream_ = context.stream;
    return on_callers_thread(Code::source, [&] { return host_.call("open").cast<SourceInfo>(); });
  }
  ReadResult read() override {
    return on_callers_thread(Code::source, [&]() -> ReadResult {
      const py::object next = host_.call("read");
      if (py::isinstance<StreamEvent>(next)) return next.cast<StreamEvent>();
      if (!py::isinstance<Frame>(next)) return End{};
      const auto frame = next.cast<Frame>();
      FrameInfo info = frame.info();
      info.stream = stream_;
      info.sequence = stats_.decoded++;
      return frame.with_info(info);
    });
  }
  void interrupt() noexcept override {
    quietly("source", [&] { host_.call("interrupt"); });
  }
  void close() noexcept override {
    quietly("source", [&] { host_.call("close"); });
  }
  void seek(Nanos media_time) override {
    on_callers_thread(Code::source, [&] { host_.call("seek", seconds(media_time)); });
  }
  SourceStats stats() const noexcept override { return stats_; }

 private:
  Held host_;
  StreamId stream_{};
  SourceStats stats_;
};

py::object read_native(NativeSource& self) {
  const ReadResult next = unlocked([&] {
    const WhileWaiting hook(check_signals);
    return self.source->read();
  });
  if (const auto* frame = std::get_if<Frame>(&next)) return py::cast(*frame);
  if (const auto* event = std::get_if<StreamEvent>(&next)) return py::cast(*event);
  return py::cast(End{});
}

template <class Ask>
std::vector<Frame> asked(const Ask& ask) {
  return unlocked(ask);
}

py::dict stats_dict(const SourceStats& stats) {
  py::dict dict;
  dict["packets"] = stats.packets;
  dict["decoded"] = stats.decoded;
  dict["concealed"] = stats.concealed;
  dict["repairs"] = stats.repairs;
  dict["skipped"] = stats.skipped;
  dict["decoders"] = stats.decoders;
  dict["errors"] = stats.errors;
  return dict;
}

std::string_view event_word(StreamEvent::Kind kind) {
  switch (kind) {
    case StreamEvent::Kind::new_epoch:
      return "new_epoch";
    case StreamEvent::Kind::gap:
      return "gap";
    case StreamEvent::Kind::format_change:
      return "format_change";
    case StreamEvent::Kind::ended:
      return "ended";
  }
  return "gap";
}

StreamEvent event_from(const std::string& kind, const std::string& detail) {
  for (const auto each : {StreamEvent::Kind::new_epoch, StreamEvent::Kind::gap, StreamEvent::Kind::format_change, StreamEvent::Kind::ended})
    if (event_word(each) == kind) return {each, detail, {}};
  throw Error(Code::config, "StreamEvent.kind is '" + kind + "'; use 'new_epoch', 'gap' or 'format_change'");
}

py::tuple source_info_state(const SourceInfo& i) {
  const ColourTags& c = i.colour;
  return py::make_tuple(i.live, i.seekable, i.duration ? py::object(py::int_(i.duration->count())) : py::none(), to_tuple(i.size), i.codec,
                        to_tuple(i.time_base),
                        py::make_tuple(static_cast<int>(c.matrix), static_cast<int>(c.range), static_cast<int>(c.transfer),
                                       static_cast<int>(c.chroma_site)),
                        to_tuple(i.coded_size), to_python_text(i.uri), i.stream, to_python(i.details), to_python(i.analyses));
}

SourceInfo source_info_from_state(const py::tuple& s) {
  const auto size = [&](std::size_t index) {
    const auto [width, height] = s[index].cast<std::pair<int, int>>();
    return Size{width, height};
  };
  const auto [num, den] = s[5].cast<std::pair<std::int64_t, std::int64_t>>();
  const auto c = s[6].cast<std::array<int, 4>>();
  SourceInfo info{.live = s[0].cast<bool>(), .seekable = s[1].cast<bool>(), .size = size(3), .codec = s[4].cast<std::string>()};
  if (!s[2].is_none()) info.duration = Nanos{s[2].cast<std::int64_t>()};
  info.time_base = {num, den};
  info.colour = {static_cast<Matrix>(c[0]), static_cast<Range>(c[1]), static_cast<Transfer>(c[2]), static_cast<ChromaSite>(c[3])};
  info.coded_size = size(7);
  info.uri = s[8].cast<std::string>();
  info.stream = s[9].cast<std::string>();
  info.details = from_python(s[10], "details");
  info.analyses = from_python(s[11], "analyses");
  return info;
}

}  // namespace

std::shared_ptr<Source> source_from(const py::object& object) {
  if (py::isinstance<NativeSource>(object)) return object.cast<NativeSource>().source;
  return std::make_shared<PythonSource>(Held(object));
}

void bind_sources(py::module_& module) {
  py::class_<SourceInfo, py::smart_holder>(module, "SourceInfo", "What a source says of itself when it opens.")
      .def(py::init([](bool live, bool seekable, const py::object& duration, const py::object& size, const std::string& codec,
                       const py::object& time_base) {
             SourceInfo info;
             info.live = live;
             info.seekable = seekable;
             if (!duration.is_none()) info.duration = duration_from(duration, "SourceInfo.duration");
             info.size = size_from(size, "SourceInfo.size");
             info.coded_size = info.size;
             info.codec = codec;
             if (!time_base.is_none()) info.time_base = rational_from(time_base, "SourceInfo.time_base");
             return info;
           }),
           py::arg("live") = false, py::arg("seekable") = false, py::arg("duration") = py::none(), py::arg("size") = py::none(),
           py::arg("codec") = "raw", py::arg("time_base") = py::none(),
           "duration: seconds, None: not known. size: (width, height) of the first picture, None: not known.")
      .def_readonly("live", &SourceInfo::live)
      .def_readonly("seekable", &SourceInfo::seekable)
      .def_property_readonly(
          "duration", [](const SourceInfo& self) { return self.duration ? py::object(py::float_(seconds(*self.duration))) : py::none(); },
          "Seconds, or None.")
      .def_property_readonly(
          "size", [](const SourceInfo& self) { return to_tuple(self.size); }, "(width, height) in display pixels.")
      .def_property_readonly("coded_size", [](const SourceInfo& self) { return to_tuple(self.coded_size); })
      .def_readonly("codec", &SourceInfo::codec)
      .def_property_readonly("time_base", [](const SourceInfo& self) { return to_tuple(self.time_base); })
      .def_property_readonly("uri", [](const SourceInfo& self) { return to_python_text(self.uri); }, "As it was opened, without secrets.")
      .def_readonly("stream", &SourceInfo::stream)
      .def_property_readonly(
          "details", [](const SourceInfo& self) { return to_python(self.details); }, "Further facts, as `vidloom probe` prints them.")
      .def_property_readonly(
          "analyses", [](const SourceInfo& self) { return to_python(self.analyses); }, "For sinks: the analyses that will run.")
      .def("__repr__", [](const SourceInfo& self) {
        return "<vidloom.SourceInfo " + self.codec + " " + std::to_string(self.size.width) + "x" + std::to_string(self.size.height) + ">";
      })
      .def(py::pickle(&source_info_state, &source_info_from_state));
  py::class_<StreamEvent, py::smart_holder>(module, "StreamEvent", "Something that happened to a stream between two frames.")
      .def(py::init(&event_from), py::arg("kind"), py::arg("detail") = "", "kind: 'new_epoch', 'gap' or 'format_change'.")
      .def_property_readonly("kind", [](const StreamEvent& self) { return std::string(event_word(self.kind)); })
      .def_readonly("detail", &StreamEvent::detail)
      .def_property_readonly(
          "data", [](const StreamEvent& self) { return to_python(self.data); }, "Of 'ended': the fields of the `end` record.")
      .def("__repr__",
           [](const StreamEvent& self) { return "<vidloom.StreamEvent " + std::string(event_word(self.kind)) + ": " + self.detail + ">"; })
      .def(py::pickle(
          [](const StreamEvent& self) { return py::make_tuple(std::string(event_word(self.kind)), self.detail, to_python(self.data)); },
          [](const py::tuple& s) {
            StreamEvent event = event_from(s[0].cast<std::string>(), s[1].cast<std::string>());
            event.data = from_python(s[2], "data");
            return event;
          }));
  py::class_<End, py::smart_holder>(module, "End", "Returned by Source.read() after the last frame.")
      .def(py::init<>())
      .def(py::pickle([](const End&) { return py::tuple(); }, [](const py::tuple&) { return End{}; }));

  py::class_<NativeSource, py::smart_holder>(module, "NativeSource", py::release_gil_before_calling_cpp_dtor())
      .def("open",
           [](NativeSource& self) {
             return unlocked([&] {
               const WhileWaiting hook(check_signals);
               SourceContext context{StreamId{0}, CpuGate::process(), nullptr};
               return self.source->open(context);
             });
           })
      .def("read", &read_native)
      .def(
          "seek",
          [](NativeSource& self, const py::object& media_time) {
            const Nanos time = duration_from(media_time, "media_time");
            unlocked([&] { self.source->seek(time); });
          },
          py::arg("media_time"))
      .def(
          "frames_at",
          [](NativeSource& self, const std::vector<double>& times) {
            std::vector<Nanos> all;
            for (const double time : times) all.push_back(from_seconds(time));
            return asked([&] { return self.source->frames_at(all); });
          },
          py::arg("times"))
      .def(
          "frames_by_index",
          [](NativeSource& self, const std::vector<std::size_t>& indices) {
            return asked([&] { return self.source->frames_by_index(indices); });
          },
          py::arg("indices"))
      .def(
          "interrupt", [](NativeSource& self) { self.source->interrupt(); }, py::call_guard<NoGil>())
      .def(
          "close", [](NativeSource& self) { self.source->close(); }, py::call_guard<NoGil>())
      .def_property_readonly("stats", [](const NativeSource& self) { return stats_dict(self.source->stats()); });
  module.def(
      "open_source",
      [](const std::string& uri, const py::dict& options) { return NativeSource{open_source(uri, from_python(options, ""))}; },
      py::arg("uri"), py::arg("options"));
  module.def(
      "register_source",
      [](std::string scheme, py::object factory) {
        register_source(std::move(scheme), [make = Held(std::move(factory))](const Value& options) -> std::unique_ptr<Source> {
          return on_callers_thread(Code::source,
                                   [&] { return std::make_unique<PythonSource>(Held(make.call("__call__", to_python(options)))); });
        });
      },
      py::arg("scheme"), py::arg("factory"));
}

}  // namespace vidloom::bindings
