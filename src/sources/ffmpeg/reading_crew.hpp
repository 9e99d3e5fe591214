#pragma once
/// Many segments read at once share a few threads.
///
/// Note [Reading crew]. A segment costs FFmpeg thousands of small blocks, and glibc keeps what a thread frees for that thread: up to seven blocks of each size, and an arena behind
/// them. When each of sixteen callers read its segments by itself, these kept 20 MB between segments of 720p and took more than a thousand segments to stop growing. So when more sources are
/// open than decode at once, a crew reads for them, as many threads as decode at once; their callers wait as they would for the CpuGate. Alone, a caller reads for itself.

#include <vidloom/source.hpp>

#include <memory>
#include <string>

namespace vidloom {

/// Reads from `source` on the threads of the crew while it is crowded. Files only: what can wait for bytes, a pipe, is read by its caller.
/// \param path  of the file.
std::unique_ptr<Source> read_by_crew(std::unique_ptr<Source> source, std::string path);

}  // namespace vidloom
