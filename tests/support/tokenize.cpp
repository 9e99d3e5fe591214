// vidloom_tokenize FOLDER [CONTEXT]: texts from stdin, each ended by a NUL, to their token ids, a line each.
#include <adapters/clip/bpe_tokenizer.hpp>

#include <cstdlib>
#include <exception>
#include <iostream>
#include <iterator>
#include <string>

int main(int count, char** arguments) {
  if (count < 2 || count > 3) {
    std::cerr << "usage: vidloom_tokenize FOLDER [CONTEXT] < TEXTS\n";
    return 2;
  }
  try {
    const auto tokenizer = vidloom::BpeTokenizer::read(arguments[1]);
    const std::size_t context = count > 2 ? std::strtoul(arguments[2], nullptr, 10) : 77;
    const std::string texts((std::istreambuf_iterator<char>(std::cin)), std::istreambuf_iterator<char>());
    for (std::size_t begin = 0, end = 0; (end = texts.find('\0', begin)) != std::string::npos; begin = end + 1) {
      const auto ids = tokenizer->encode(std::string_view(texts).substr(begin, end - begin), context);
      for (std::size_t at = 0; at < ids.size(); ++at) std::cout << (at > 0 ? " " : "") << ids[at];
      std::cout << '\n';
    }
  } catch (const std::exception& error) {
    std::cerr << "vidloom_tokenize: " << error.what() << '\n';
    return 1;
  }
  return 0;
}
