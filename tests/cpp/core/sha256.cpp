#include <core/sha256.hpp>
#include <core/utf8.hpp>

#include <doctest/doctest.h>

using namespace vidloom;

TEST_CASE("sha256 gives the digests NIST publishes") {
  CHECK(sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(sha256_hex("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu") ==
        "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
  CHECK(sha256_hex(std::string(1'000'000, 'a')) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("sha256 does not care how the bytes are cut, nor when it is asked") {
  const std::string text(300, 'v');
  for (std::size_t length = 50; length <= 130; ++length) {
    Sha256 hash;
    const std::string_view part = std::string_view(text).substr(0, length);
    for (std::size_t at = 0; at < part.size(); at += 7) {
      hash.update(part.substr(at, 7));
      (void)hash.hex();
    }
    CHECK(hash.hex() == sha256_hex(part));
  }
}

TEST_CASE("ill-formed UTF-8 is replaced byte by byte, the rest stays") {
  const std::string replacement = "\xEF\xBF\xBD";
  const std::string fine = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x8E\xA5z";
  CHECK(valid_utf8(fine) == fine);
  CHECK(valid_utf8("\xFF") == replacement);
  CHECK(valid_utf8("\xC0\xAF") == replacement + replacement);                                      // overlong
  CHECK(valid_utf8("\xED\xA0\x80") == replacement + replacement + replacement);                    // surrogate
  CHECK(valid_utf8("\xF4\x90\x80\x80") == replacement + replacement + replacement + replacement);  // beyond U+10FFFF
  CHECK(valid_utf8("\xE2\x82") == replacement + replacement);                                      // cut off
  CHECK(valid_utf8("\xE2\x82z") == replacement + replacement + "z");
}
