#include <outside_film.hpp>
#include <sources/ffmpeg/description.hpp>
#include <sources/ffmpeg/frame_reader.hpp>
#include <sources/ffmpeg/index_scan.hpp>
#include <sources/ffmpeg/packet_plan.hpp>
#include <sources/ffmpeg/picture_fetch.hpp>
#include <sources/ffmpeg/sources.hpp>
#include <sources/ffmpeg/timeline.hpp>
#include <support/ffmpeg/pictures.hpp>

#include <algorithm>
#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace vidloom {
namespace {

using namespace std::chrono_literals;

SourceStats& operator+=(SourceStats& sum, const SourceStats& more) noexcept {
  sum.packets += more.packets;
  sum.decoded += more.decoded;
  sum.concealed += more.concealed;
  sum.repairs += more.repairs;
  sum.errors += more.errors;
  sum.skipped += more.skipped;
  sum.decoders += more.decoders;
  return sum;
}

class FileSource final : public Source {
 public:
  /// \param workers  threads that frames_at() may decode on; 0: as many as cores.
  FileSource(std::string uri, std::int64_t max_pixels, int threads, int workers)
      : uri_(std::move(uri)),
        path_(path_of(uri_)),
        max_pixels_(max_pixels),
        workers_(workers),
        reader_(path_, stop_, {.max_pixels = max_pixels, .threads = threads}) {}

  SourceInfo open(SourceContext& context) override;
  ReadResult read() override;
  void interrupt() noexcept override { stop_.set(); }
  void close() noexcept override {
    reset();
    stop_.clear();
  }
  void seek(Nanos media_time) override;
  std::vector<Frame> frames_at(std::span<const Nanos> media_times) override;
  std::vector<Frame> frames_by_index(std::span<const std::size_t> indices) override;
  void set_demand(std::span<const Demand> demands) noexcept override;
  SourceStats stats() const noexcept override {
    SourceStats stats = reader_.stats();
    stats.skipped += plan_.skipped();
    return stats;
  }

 private:
  /// A decoded picture that is not yet handed out. `info` lacks its sequence number.
  struct Picture {
    av::FramePtr pixels;
    FrameInfo info;
    std::string format;  ///< size and pixel format, to notice a change
    bool new_epoch = false;
  };

  void reset() noexcept;
  void start();
  Timeline::Options timeline_options();
  IndexScan& scan();
  void take_demands();
  /// \param all  also those that no demand needs.
  std::optional<Picture> next_picture(bool all = false);
  std::optional<PacketPlan::Expected> account_for(const AVFrame* frame);
  void skip(const PacketPlan::Expected& pictures);
  void stands_at(const FrameInfo& info);
  ReadResult end() const;
  Picture described(av::FramePtr pixels, std::optional<std::int64_t> pts, Nanos media_time);
  void advance_to(Nanos media_time, std::optional<std::uint32_t> epoch);
  bool land(std::size_t picture);
  void start_over();
  void go_back();
  std::vector<Frame> fetch(const std::vector<std::size_t>& pictures);
  template <class Use>
  std::vector<Frame> from_the_beginning(const Use& use);
  Frame numbered(Picture picture, const PacketIndex::Place& place);
  void hand_out(Picture picture);
  ReadResult next_waiting();

  const std::string uri_, path_;
  const std::int64_t max_pixels_;
  const int workers_;
  WakeUp stop_;
  FrameReader reader_;

  StreamId stream_{};
  CpuGate* cpu_ = nullptr;
  Nanos usual_duration_{};
  av::Orientation orientation_;
  Timeline timeline_;
  std::uint32_t epoch_ = 0;
  std::uint64_t next_sequence_ = 0;
  std::uint64_t pictures_ = 0;  ///< decoded since the demuxer was opened
  PacketPlan plan_{timeline_, {[this] { return reader_.peek(); }, [this] { reader_.pass(); }}};
  std::optional<FrameInfo> last_;   ///< the last picture so far, given or not: number and times
  std::uint64_t skipped_ = 0;       ///< pictures since the last one that was given
  Nanos skipped_from_{};
  bool epoch_began_ = false;        ///< with a picture that was skipped
  bool owed_ = false;               ///< a picture that was needed did not come: the next one serves
  std::mutex demand_mutex_;
  std::vector<Demand> demands_;     ///< guarded by demand_mutex_
  std::atomic<bool> demand_changed_{false};

  std::string format_;
  std::unique_ptr<IndexScan> scan_;                     ///< made when it is first needed; uses reader_
  std::vector<std::unique_ptr<FrameReader>> helpers_;   ///< decode beside each other in fetch()
  bool displaced_ = false;  ///< reader_ stands elsewhere than the pictures handed out
  bool ended_ = false;      ///< behind the last picture
  std::deque<ReadResult> waiting_;  ///< an event's frame, behind it; at most three
};

void FileSource::reset() noexcept {
  waiting_.clear();
  last_.reset();
  skipped_ = 0;
  epoch_began_ = owed_ = false;
  helpers_.clear();
  scan_.reset();
  displaced_ = ended_ = false;
  reader_.close();
  cpu_ = nullptr;
}

SourceInfo FileSource::open(SourceContext& context) {
  reset();
  reader_.stats() = {};
  epoch_ = 0;
  next_sequence_ = 0;
  format_.clear();
  stream_ = context.stream;
  reader_.probe_always(context.details);
  start();
  cpu_ = &context.cpu;
  SourceInfo info = describe_file(reader_.demuxer(), reader_.peek());
  info.uri = redact(uri_);
  return info;
}

void FileSource::start() {
  reader_.start();
  const AVStream& stream = reader_.demuxer().stream();
  orientation_ = av::orientation_of(av::display_matrix_of(stream));
  const AVRational rate = stream.avg_frame_rate.num > 0 ? stream.avg_frame_rate : stream.r_frame_rate;
  usual_duration_ = rate.num > 0 && rate.den > 0 ? from_pts(1, {rate.den, rate.num}) : 0ns;
  pictures_ = 0;
  timeline_ = Timeline(timeline_options());
  plan_.start(reader_.demuxer(), usual_duration_);
}

Timeline::Options FileSource::timeline_options() {
  const AVStream& stream = reader_.demuxer().stream();
  return {.time_base = av::rational(stream.time_base),
          .wrap_bits = stream.pts_wrap_bits,
          .jumps_begin_epochs = reader_.demuxer().is_mpegts()};
}

void FileSource::set_demand(std::span<const Demand> demands) noexcept {
  try {
    std::vector<Demand> copy(demands.begin(), demands.end());
    const std::lock_guard lock(demand_mutex_);
    demands_.swap(copy);
    demand_changed_ = true;
  } catch (const std::bad_alloc&) {  // as before then, which is legal
  }
}

void FileSource::take_demands() {
  if (!demand_changed_.exchange(false)) return;
  {
    const std::lock_guard lock(demand_mutex_);
    plan_.set_demands(demands_);
  }
  reader_.prefer_threads(plan_.sampler().mostly_keyframes() ? 1 : 0);
}

/// Takes pictures off the plan up to the one in `frame`; nullptr: all. \return what was planned of that one.
std::optional<PacketPlan::Expected> FileSource::account_for(const AVFrame* frame) {
  auto& expected = plan_.expected();
  // What stands before a frame that was not planned is over, too: plans begin with an empty decoder.
  while (!expected.empty()) {
    const PacketPlan::Expected picture = expected.front();
    expected.pop_front();
    if (frame && picture.sent && picture.pts == frame->pts) return picture;
    if (!picture.sent) {
      skip(picture);
    } else if (!picture.beyond) {
      owed_ = owed_ || picture.needed;  // the decoder gave none for it, and would not have given one to anybody
    }
  }
  return std::nullopt;
}

void FileSource::skip(const PacketPlan::Expected& pictures) {
  if (pictures.new_epoch) {
    ++epoch_;
    next_sequence_ = skipped_ = 0;
    epoch_began_ = true;
    last_.reset();
  }
  if (skipped_ == 0) skipped_from_ = last_ ? last_->time.media_time : pictures.before;
  skipped_ += pictures.pictures;
  next_sequence_ += pictures.pictures;
  last_.emplace();
  last_->stream = stream_;
  last_->epoch = epoch_;
  last_->sequence = next_sequence_ - 1;
  last_->time.pts = pictures.pts;
  last_->time.time_base = av::rational(reader_.demuxer().stream().time_base);
  last_->time.media_time = pictures.media_time;
  last_->duration = pictures.duration;
}

/// Reading went to a picture on another way than by next_picture().
void FileSource::stands_at(const FrameInfo& info) {
  plan_.sought();
  plan_.passed(info.time.media_time);
  skipped_ = 0;
  owed_ = epoch_began_ = false;
  last_ = info;
}

ReadResult FileSource::end() const {
  if (skipped_ == 0) return End{};
  End end{last_};
  end.last->skipped = skipped_;
  end.last->skipped_from = skipped_from_;
  return end;
}

std::optional<FileSource::Picture> FileSource::next_picture(bool all) {
  av::FramePtr pixels;
  std::optional<PacketPlan::Expected> planned;
  for (;;) {
    take_demands();
    pixels = reader_.next(*cpu_, all ? nullptr : &plan_);
    planned = account_for(pixels.get());
    if (!planned || planned->needed || (owed_ && !planned->beyond)) break;
    if (!planned->beyond) skip(*planned);
    ++pictures_;
    ++reader_.stats().decoded;
  }
  if (pixels) owed_ = false;
  if (!pixels) {
    if (pictures_ == 0 && skipped_ == 0) {
      throw Error(Code::decode, path_ + " gave no picture: " + std::to_string(reader_.stats().packets) + " packets of " +
                                    av::codec_name(reader_.demuxer().stream().codecpar->codec_id) + " were read, " +
                                    std::to_string(reader_.stats().errors) + " of them damaged");
    }
    return std::nullopt;
  }
  // FFmpeg's best effort doubts timestamps after a step back, which a wrap is too; the plan has seen that they are in order.
  const auto pts = planned ? std::optional(planned->pts) : av::timestamp(pixels->best_effort_timestamp);
  const std::int64_t ticks = av::duration_of(*pixels);
  const Nanos duration = ticks > 0 ? from_pts(ticks, av::rational(reader_.demuxer().stream().time_base)) : usual_duration_;
  const Timeline::Stamp stamp = planned ? Timeline::Stamp{.media_time = planned->media_time, .new_epoch = planned->new_epoch}
                                        : timeline_.next(pts, duration);
  Picture picture = described(std::move(pixels), pts, stamp.media_time);
  picture.new_epoch = stamp.new_epoch;
  if (!planned) plan_.passed(stamp.media_time);
  ++pictures_;
  SourceStats& stats = reader_.stats();
  ++stats.decoded;
  stats.concealed += picture.info.health != Health::ok;
  stats.repairs += stamp.repaired;
  return picture;
}

FileSource::Picture FileSource::described(av::FramePtr pixels, std::optional<std::int64_t> pts, Nanos media_time) {
  const AVFrame& frame = *pixels;
  const AVRational time_base = reader_.demuxer().stream().time_base;
  Picture picture;
  FrameInfo& info = picture.info;
  info.stream = stream_;
  const std::int64_t ticks = av::duration_of(frame);
  info.duration = ticks > 0 ? std::min(from_pts(ticks, av::rational(time_base)), Timeline::farthest) : usual_duration_;
  info.time.media_time = media_time;
  info.time.time_base = av::rational(time_base);
  info.time.pts = pts ? *pts : av_rescale_q(media_time.count(), AVRational{1, 1'000'000'000}, time_base);
  info.time.received_at = std::chrono::steady_clock::now();
  av::describe(frame, orientation_, info);
  info.health = av::health_of(frame, av::Decoder::packet_corrupt(frame));
  const char* format = av_get_pix_fmt_name(static_cast<AVPixelFormat>(frame.format));
  picture.format = std::to_string(frame.width) + "x" + std::to_string(frame.height) + " " + (format ? format : "?");
  picture.pixels = std::move(pixels);
  return picture;
}

/// Puts the picture into waiting_, behind the events that it brings.
void FileSource::hand_out(Picture picture) {
  if (picture.new_epoch) {
    ++epoch_;
    next_sequence_ = skipped_ = 0;
  }
  if (std::exchange(epoch_began_, false) || picture.new_epoch) {
    waiting_.emplace_back(StreamEvent{StreamEvent::Kind::new_epoch, "timestamps jumped", Value()});
  }
  if (picture.format != format_) {
    if (!format_.empty())
      waiting_.emplace_back(StreamEvent{StreamEvent::Kind::format_change, format_ + " became " + picture.format, Value()});
    format_ = picture.format;
  }
  picture.info.skipped = std::exchange(skipped_, 0);
  if (picture.info.skipped > 0) picture.info.skipped_from = skipped_from_;
  last_ = picture.info;
  last_->epoch = epoch_;
  last_->sequence = next_sequence_;
  waiting_.emplace_back(numbered(std::move(picture), {epoch_, next_sequence_++}));
}

Frame FileSource::numbered(Picture picture, const PacketIndex::Place& place) {
  picture.info.epoch = place.epoch;
  picture.info.sequence = place.sequence;
  return av::adopt(std::move(picture.pixels), picture.info);
}

ReadResult FileSource::next_waiting() {
  ReadResult next = std::move(waiting_.front());
  waiting_.pop_front();
  return next;
}

ReadResult FileSource::read() {
  if (!reader_.is_open() || !cpu_) throw Error(Code::config, path_ + ": read() before open()");
  if (stop_.is_set()) stop_.throw_reason(path_);
  if (!waiting_.empty()) return next_waiting();
  if (displaced_ && !ended_) {
    go_back();
    if (!waiting_.empty()) return next_waiting();
  }
  if (ended_) return End{};
  if (std::optional<Picture> picture = next_picture()) {
    hand_out(std::move(*picture));
    return next_waiting();
  }
  ended_ = true;
  return end();
}

IndexScan& FileSource::scan() {
  if (!scan_) scan_ = std::make_unique<IndexScan>(reader_, *cpu_, timeline_options(), usual_duration_);
  return *scan_;
}

void FileSource::start_over() {
  start();
  epoch_ = 0;
  next_sequence_ = 0;
  displaced_ = ended_ = false;
}

/// Decodes on to the first picture at or after `media_time`, not before `epoch` when that is known, and puts it in waiting_.
void FileSource::advance_to(Nanos media_time, std::optional<std::uint32_t> epoch) {
  for (;;) {
    std::optional<Picture> picture = next_picture(true);
    if (!picture) {
      ended_ = true;
      return;
    }
    const bool there = picture->info.time.media_time >= media_time && (!epoch || epoch_ + (picture->new_epoch ? 1 : 0) >= *epoch);
    if (there) {
      stands_at(picture->info);
      return hand_out(std::move(*picture));
    }
    if (picture->new_epoch) {
      ++epoch_;
      next_sequence_ = 0;
    }
    ++next_sequence_;
  }
}

/// Goes where `picture` of the index is the next one read. \return false: it cannot be decoded so.
bool FileSource::land(std::size_t picture) {
  const PacketIndex& index = scan().index();
  displaced_ = true;
  for (const PacketIndex::Entry* entry : entries_for(index, picture)) {
    PictureRun run(reader_, index, *cpu_);
    if (!run.begin(*entry)) continue;
    std::optional<NumberedFrame> frame;
    do {
      frame = run.next();
      reader_.stats().decoded += frame.has_value();
    } while (frame && frame->picture < picture);
    if (!frame) continue;
    // The timeline goes through the pictures that were passed over as if they had been handed out.
    timeline_ = entry->before;
    for (std::size_t each = entry->picture; each <= frame->picture; ++each) timeline_.next(index.pictures()[each].pts, usual_duration_);
    const PacketIndex::Picture& known = index.pictures()[frame->picture];
    Picture found = described(std::move(frame->frame), known.pts, known.media_time);
    reader_.stats().concealed += found.info.health != Health::ok;
    const PacketIndex::Place place = index.place_of(frame->picture);
    epoch_ = place.epoch;
    next_sequence_ = place.sequence;
    ++pictures_;
    stands_at(found.info);
    hand_out(std::move(found));
    displaced_ = ended_ = false;
    return true;
  }
  return false;
}

/// Back to where reading stood before the reader was used for something else.
void FileSource::go_back() {
  const PacketIndex::Place place{epoch_, next_sequence_};
  const std::optional<std::size_t> picture = scan().trusted() ? scan().index().picture_at(place) : std::nullopt;
  if (picture && *picture > 0) {
    if (scan().reaches(*picture)) {
      if (land(*picture)) return;
    } else if (scan().trusted()) {
      ended_ = true;
      return;
    }
  }
  start_over();
  while (epoch_ < place.epoch || next_sequence_ < place.sequence) {
    const std::optional<Picture> passed = next_picture(true);
    if (!passed) return;
    stands_at(passed->info);
    if (passed->new_epoch) {
      ++epoch_;
      next_sequence_ = 0;
    }
    ++next_sequence_;
  }
}

void FileSource::seek(Nanos media_time) {
  if (!reader_.is_open() || !cpu_) throw Error(Code::config, path_ + ": seek() before open()");
  if (!reader_.demuxer().seekable()) throw Error(Code::config, path_ + " is a pipe: it cannot be sought");
  waiting_.clear();
  if (!displaced_ && !ended_ && !plan_.active() && scan_ && scan_->knows(media_time)) {
    // Decoding on is cheaper than a jump that lands no further ahead than what a decoder holds back anyway.
    const PacketIndex& index = scan_->index();
    const auto target = index.at_or_after(media_time), here = index.picture_at({epoch_, next_sequence_});
    const PacketIndex::Entry* entry = target ? index.entry_for(*target) : nullptr;
    if (target && here && *target >= *here && entry &&
        entry->picture <= *here + static_cast<std::size_t>(reader_.decoder().delay())) {
      return advance_to(media_time, index.place_of(*target).epoch);
    }
  }
  displaced_ = true;
  const std::optional<std::size_t> target = scan().at_or_after(media_time);
  if (scan_->trusted()) {
    if (!target) {
      ended_ = true;
      return;
    }
    if (land(*target)) return;
  }
  // Packets do not tell where it is: only decoding from the beginning does.
  start_over();
  advance_to(media_time, std::nullopt);
}

std::vector<Frame> FileSource::fetch(const std::vector<std::size_t>& pictures) {
  const PacketIndex& index = scan().index();
  std::vector<std::size_t> wanted = pictures;
  std::sort(wanted.begin(), wanted.end());
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
  std::size_t groups = 0;
  for (std::size_t at = 0; at < wanted.size(); ++at)
    groups += at == 0 || index.entry_for(wanted[at]) != index.entry_for(wanted[at - 1]);
  const unsigned cores = workers_ > 0 ? static_cast<unsigned>(workers_) : std::max(1U, std::thread::hardware_concurrency());
  std::vector<FrameReader*> readers;
  if (groups < 2 || cores < 2) {
    readers.push_back(&reader_);
  } else {
    while (readers.size() < std::min<std::size_t>(groups, cores)) {
      if (readers.size() == helpers_.size()) {
        helpers_.push_back(std::make_unique<FrameReader>(path_, stop_, FrameReader::Options{.max_pixels = max_pixels_, .threads = 1}));
        helpers_.back()->start(&reader_);
      }
      readers.push_back(helpers_[readers.size()].get());
    }
  }
  displaced_ = true;
  std::vector<std::optional<Frame>> found(wanted.size());
  const std::vector<std::size_t> missing =
      fetch_pictures(readers, index, *cpu_, wanted, [&](std::size_t at, NumberedFrame decoded) {
        const PacketIndex::Picture& known = index.pictures()[decoded.picture];
        Picture picture = described(std::move(decoded.frame), known.pts, known.media_time);
        found[at] = numbered(std::move(picture), index.place_of(decoded.picture));
        ++reader_.stats().decoded;
      });
  for (const auto& helper : helpers_) reader_.stats() += std::exchange(helper->stats(), {});
  if (!missing.empty()) return {};
  std::vector<Frame> frames;
  frames.reserve(pictures.size());
  for (const std::size_t picture : pictures)
    frames.push_back(*found[static_cast<std::size_t>(std::lower_bound(wanted.begin(), wanted.end(), picture) - wanted.begin())]);
  return frames;
}

std::vector<Frame> FileSource::frames_at(std::span<const Nanos> media_times) {
  if (!reader_.is_open() || !cpu_) throw Error(Code::config, path_ + ": frames_at() before open()");
  if (!reader_.demuxer().seekable()) return Source::frames_at(media_times);
  if (media_times.empty()) return {};
  displaced_ = true;
  std::vector<std::size_t> pictures;
  for (const Nanos time : media_times) {
    std::optional<std::size_t> picture = scan().at_or_after(time);
    if (!scan_->trusted()) break;
    const auto& known = scan_->index().pictures();
    if (known.empty()) break;
    const Nanos end = known.back().media_time + usual_duration_;
    if (!picture && time < end) picture = known.size() - 1;
    if (!picture || time < known.front().media_time) {
      scan_->complete();
      throw outside_film(time, known.front().media_time, known.back().media_time + usual_duration_);
    }
    pictures.push_back(*picture);
  }
  if (pictures.size() == media_times.size()) {
    std::vector<Frame> frames = fetch(pictures);
    if (!frames.empty()) return frames;
  }
  return from_the_beginning([&] { return Source::frames_at(media_times); });
}

std::vector<Frame> FileSource::frames_by_index(std::span<const std::size_t> indices) {
  if (!reader_.is_open() || !cpu_) throw Error(Code::config, path_ + ": frames_by_index() before open()");
  if (!reader_.demuxer().seekable()) return Source::frames_by_index(indices);
  if (indices.empty()) return {};
  displaced_ = true;
  for (const std::size_t index : indices) {
    if (!scan().reaches(index) && scan_->trusted())
      throw outside_film(index, scan_->index().pictures().size());
  }
  if (scan_->trusted()) {
    std::vector<Frame> frames = fetch({indices.begin(), indices.end()});
    if (!frames.empty()) return frames;
  }
  return from_the_beginning([&] { return Source::frames_by_index(indices); });
}

/// For films whose packets do not tell their pictures. What reading had come to stays as it is.
template <class Use>
std::vector<Frame> FileSource::from_the_beginning(const Use& use) {
  struct Restore {
    FileSource& source;
    PacketIndex::Place place{source.epoch_, source.next_sequence_};
    bool ended = source.ended_;
    std::deque<ReadResult> waiting = std::exchange(source.waiting_, {});
    std::string format = source.format_;
    ~Restore() {
      source.epoch_ = place.epoch;
      source.next_sequence_ = place.sequence;
      source.ended_ = ended;
      source.waiting_ = std::move(waiting);
      source.format_ = std::move(format);
      source.displaced_ = true;
    }
  };
  const Restore restore{*this};
  start_over();
  return use();
}

}  // namespace

std::unique_ptr<Source> make_file_source(const Value& options, int threads) {
  int workers = 0;
  if (const Value* wanted = options.find("threads"); wanted && !wanted->is_null()) {
    const std::int64_t value = wanted->as_integer();
    if (value < 0 || value > 64) throw Error(Code::config, "threads is " + std::to_string(value) + "; use 0 (enough for all cores) to 64");
    threads = workers = static_cast<int>(value);
  }
  return std::make_unique<FileSource>(options["uri"].as_string(), av::pixel_limit(options), threads, workers);
}

}  // namespace vidloom
