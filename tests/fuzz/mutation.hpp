#pragma once
/// Damage: one undamaged file in, one damaged in a way that is given by the dice alone out.

#include <fuzz/dice.hpp>
#include <fuzz/structure.hpp>

#include <string>
#include <string_view>

namespace vidloom::fuzz {

/// \param other  a file of another kind, to splice with.
/// \param what   is set to what was done, in a few words.
std::string mutated(std::string_view bytes, Family family, const Structure& structure, std::string_view other, Dice& dice,
                    std::string& what);

}  // namespace vidloom::fuzz
