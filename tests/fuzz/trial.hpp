#pragma once
/// One file through everything a user can do with it, and what Vidloom promises to hold whatever is in the file.

#include <fuzz/dice.hpp>

#include <cstdint>
#include <stdexcept>
#include <string>

namespace vidloom::fuzz {

/// A promise that was broken: the message says which.
struct Broken : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Outcome {
  bool opened = false;
  bool flagged = false;  ///< a picture said it was damaged, or the counts say that packets were refused
  std::uint64_t frames = 0;
  bool tells = false;               ///< its decoder calls no picture whole that holds chance bytes
  std::string times{}, pictures{};  ///< of each frame, where all are read to compare them
  std::string error{};              ///< what was thrown, code in front; empty: nothing
};

/// Opens `path` in a way the dice choose (options, which function), reads it, seeks, converts. Every way ends in frames or in an
/// Error of the codes `source` and `decode`. Throws Broken, or whatever else came, where one did not.
/// \param picture  it was one picture before it was damaged.
Outcome try_file(const std::string& path, bool picture, Dice& dice);

/// Reads all of it in the plainest way; for undamaged files.
Outcome read_plainly(const std::string& path);

}  // namespace vidloom::fuzz
