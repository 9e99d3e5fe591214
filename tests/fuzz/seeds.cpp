#include <fuzz/seeds.hpp>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <stdexcept>

#include <unistd.h>

namespace vidloom::fuzz {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t largest_seed = 60'000;

struct Recipe {
  const char* name;
  Family family;
  unsigned frames;
  const char* arguments;  ///< of ffmpeg, behind the pattern
  const char* input = "-f lavfi -i testsrc2=size=64x48:rate=25:duration=0.48";
  bool picture = false;
};

constexpr const char* with_tone = "-f lavfi -i sine=duration=0.48:sample_rate=8000 -f lavfi -i testsrc2=size=64x48:rate=25:duration=0.48";
constexpr const char* odd_size = "-f lavfi -i testsrc2=size=61x47:rate=25:duration=0.24";
constexpr const char* short_film = "-f lavfi -i testsrc2=size=64x48:rate=25:duration=0.16";
constexpr const char* still = "-f lavfi -i testsrc2=size=64x48";
#define X264 "-c:v libx264 -preset veryfast -threads 1 -g 5 -bf 2 "
#define X265 "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=5:pools=1 "

constexpr std::array recipes{
    Recipe{"h264.mp4", Family::mp4, 12, X264},
    Recipe{"h264_audio.mp4", Family::mp4, 12, X264 "-c:a aac -b:a 16k", with_tone},
    Recipe{"h264_front.mp4", Family::mp4, 12, X264 "-movflags +faststart"},
    Recipe{"h264_parts.mp4", Family::mp4, 12, X264 "-movflags +frag_keyframe+empty_moov"},
    Recipe{"h264_444.mov", Family::mp4, 6, "-c:v libx264 -preset veryfast -threads 1 -pix_fmt yuv444p", odd_size},
    Recipe{"hevc.mp4", Family::mp4, 12, X265},
    Recipe{"mpeg4.mp4", Family::mp4, 12, "-c:v mpeg4 -bf 2 -g 5"},
    Recipe{"av1.mp4", Family::mp4, 4, "-c:v libaom-av1 -usage realtime -cpu-used 8 -threads 1", short_film},
    Recipe{"mjpeg.mov", Family::mp4, 4, "-c:v mjpeg", short_film},
    Recipe{"prores.mov", Family::mp4, 2, "-c:v prores_ks -frames:v 2", short_film},
    Recipe{"rle.mov", Family::mp4, 2, "-vf format=rgba -c:v qtrle -frames:v 2", short_film},
    Recipe{"h264.mkv", Family::matroska, 12, X264},
    Recipe{"h264_ten_bit.mkv", Family::matroska, 6, "-c:v libx264 -preset veryfast -threads 1 -pix_fmt yuv420p10le", odd_size},
    Recipe{"hevc_ten_bit.mkv", Family::matroska, 4, X265 "-pix_fmt yuv420p10le", short_film},
    Recipe{"ffv1.mkv", Family::matroska, 4, "-c:v ffv1 -pix_fmt yuv422p -slices 4 -level 3", short_film},
    Recipe{"raw.mkv", Family::matroska, 2, "-c:v rawvideo -pix_fmt yuyv422 -frames:v 2", short_film},
    Recipe{"theora.mkv", Family::matroska, 4, "-c:v libtheora", short_film},
    Recipe{"vp8.webm", Family::matroska, 12, "-c:v libvpx -deadline realtime -cpu-used 8 -threads 1"},
    Recipe{"vp9.webm", Family::matroska, 12, "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -threads 1"},
    Recipe{"av1.webm", Family::matroska, 4, "-c:v libaom-av1 -usage realtime -cpu-used 8 -threads 1", short_film},
    Recipe{"h264.flv", Family::flv, 12, X264},
    Recipe{"flv1.flv", Family::flv, 12, "-c:v flv -c:a adpcm_swf -ar 11025", with_tone},
    Recipe{"h264.avi", Family::riff, 12, X264},
    Recipe{"mpeg4.avi", Family::riff, 12, "-c:v mpeg4 -g 5"},
    Recipe{"mjpeg.avi", Family::riff, 4, "-c:v mjpeg", short_film},
    Recipe{"raw.avi", Family::riff, 2, "-c:v rawvideo -pix_fmt bgr24 -frames:v 2", short_film},
    Recipe{"palette.avi", Family::riff, 2, "-c:v png -pix_fmt pal8 -frames:v 2",
           "-f lavfi -i testsrc2=size=64x48,format=gray,format=rgb8,format=pal8"},
    Recipe{"cinepak.avi", Family::riff, 2, "-c:v cinepak -frames:v 2", short_film},
    Recipe{"wmv2.asf", Family::plain, 12, "-c:v wmv2"},
    Recipe{"h264.ts", Family::transport, 12, X264},
    Recipe{"h264_audio.ts", Family::transport, 12, X264 "-c:a mp2 -b:a 16k -ar 16000", with_tone},
    Recipe{"h264_wrap.ts", Family::transport, 12, X264 "-output_ts_offset 95443.5"},
    Recipe{"h264_blu.m2ts", Family::plain, 12, X264 "-mpegts_m2ts_mode 1"},
    Recipe{"hevc.ts", Family::transport, 12, X265},
    Recipe{"mpeg2.ts", Family::transport, 12, "-c:v mpeg2video -bf 2 -g 5"},
    Recipe{"interlaced.ts", Family::transport, 6, "-vf interlace -c:v mpeg2video -flags +ildct+ilme"},
    Recipe{"mpeg1.mpg", Family::start_codes, 12, "-c:v mpeg1video -g 5"},
    Recipe{"mpeg2.mpg", Family::start_codes, 12, "-c:v mpeg2video -bf 2 -g 5"},
    Recipe{"h264.h264", Family::start_codes, 12, X264},
    Recipe{"hevc.hevc", Family::start_codes, 12, X265},
    Recipe{"film.gif", Family::plain, 8, "-frames:v 8"},
    Recipe{"film.apng", Family::png, 1, "-f apng", short_film, true},
    Recipe{"still.png", Family::png, 1, "-frames:v 1", still, true},
    Recipe{"sixteen_bit.png", Family::png, 1, "-frames:v 1 -pix_fmt rgb48be", still, true},
    Recipe{"grey.png", Family::png, 1, "-frames:v 1 -pix_fmt gray -pred paeth", still, true},
    Recipe{"still.jpg", Family::jpeg, 1, "-frames:v 1", still, true},
    Recipe{"odd.jpg", Family::jpeg, 1, "-frames:v 1 -pix_fmt yuvj444p", "-f lavfi -i testsrc2=size=61x47", true},
    Recipe{"still.webp", Family::riff, 1, "-frames:v 1 -c:v libwebp", still, true},
    Recipe{"lossless.webp", Family::riff, 1, "-frames:v 1 -c:v libwebp -lossless 1 -pix_fmt bgra", still, true},
    Recipe{"still.tiff", Family::tiff, 1, "-frames:v 1", still, true},
    Recipe{"deflated.tiff", Family::tiff, 1, "-frames:v 1 -compression_algo deflate -pix_fmt rgb48le", still, true},
    Recipe{"still.bmp", Family::plain, 1, "-frames:v 1", still, true},
    Recipe{"still.ppm", Family::plain, 1, "-frames:v 1", still, true},
    Recipe{"still.pam", Family::plain, 1, "-frames:v 1 -pix_fmt rgba", still, true},
};
#undef X264
#undef X265

/// The seed and the text that makes it: a changed recipe is another file.
std::string file_of(const Recipe& recipe) {
  const std::size_t sum = std::hash<std::string>{}(std::string(recipe.input) + '\n' + recipe.arguments);
  std::array<char, 17> text{};
  std::snprintf(text.data(), text.size(), "%016zx", sum);
  return std::string(text.data()) + "_" + recipe.name;
}

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// Runs ffmpeg for some recipes at once.
void make(const fs::path& folder, const std::vector<const Recipe*>& missing) {
  constexpr std::size_t at_once = 4;
  for (std::size_t from = 0; from < missing.size(); from += at_once) {
    std::vector<std::FILE*> running;
    const std::size_t to = std::min(missing.size(), from + at_once);
    for (std::size_t index = from; index < to; ++index) {
      const Recipe& recipe = *missing[index];
      const std::string half = "half_" + std::to_string(::getpid()) + "_" + recipe.name, whole = file_of(recipe);
      const std::string command = "cd '" + folder.string() + "' && ffmpeg -v error -nostdin -y " + recipe.input + " -shortest " +
                                  recipe.arguments + " " + half + " >'" + half + ".log' 2>&1 && mv " + half + " " + whole + " && rm -f '" +
                                  half + ".log'";
      running.push_back(::popen(command.c_str(), "r"));
    }
    std::string failed;
    for (std::size_t index = from; index < to; ++index) {
      std::FILE* pipe = running[index - from];
      if (!pipe || ::pclose(pipe) != 0) failed += std::string(failed.empty() ? "" : ", ") + missing[index]->name;
    }
    if (!failed.empty()) throw std::runtime_error("ffmpeg cannot make " + failed + "; its words are in " + folder.string());
  }
}

}  // namespace

std::vector<Seed> make_seeds(const std::string& folder) {
  fs::create_directories(folder);
  std::vector<const Recipe*> missing;
  for (const Recipe& recipe : recipes)
    if (!fs::exists(fs::path(folder) / file_of(recipe))) missing.push_back(&recipe);
  make(folder, missing);
  std::vector<Seed> seeds;
  for (const Recipe& recipe : recipes) {
    Seed seed{recipe.name, recipe.family, recipe.picture, recipe.frames, read_file(fs::path(folder) / file_of(recipe)), {}};
    if (seed.bytes.empty() || seed.bytes.size() > largest_seed)
      throw std::runtime_error(seed.name + " has " + std::to_string(seed.bytes.size()) + " bytes; a seed has 1 to " +
                               std::to_string(largest_seed));
    seed.structure = structure_of(seed.family, seed.bytes);
    if (seed.family != Family::plain && seed.structure.fields.size() < 4)
      throw std::runtime_error(seed.name + " is not what its name says");
    seeds.push_back(std::move(seed));
  }
  return seeds;
}

}  // namespace vidloom::fuzz
