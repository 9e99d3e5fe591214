/// The same readers under libFuzzer, which finds its way in by what it covers: the first byte of an input chooses the reader.

#include <fuzz/texts.hpp>

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vidloom::fuzz;
  if (size == 0) return 0;
  const Reader reader = readers[data[0] % readers.size()];
  // A filter graph is FFmpeg's to read, and may ask for any amount of work: it is damaged by `hostile`, which has a clock.
  if (reader == Reader::filter_graph) return -1;
  (void)read_text(reader, {reinterpret_cast<const char*>(data) + 1, size - 1});
  return 0;
}
