#pragma once
/// The line protocol between the driver (side_by_side/) and the programs that are measured.
///
/// Request, one line: `task<TAB>key=value<TAB>key=value`. Reply, one line of JSON: `{"seconds": .., "cpu": .., "times": [..], ..}` or
/// `{"error": "..."}`. With `out=PATH` the task also writes the bytes of every picture it delivers there; the driver hashes them. Such a run
/// is a check and its seconds are not used.

#include <sys/resource.h>
#include <time.h>

#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace side_by_side {

inline double clock_seconds(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

class Request {
 public:
  explicit Request(const std::string& line) {
    std::istringstream words(line);
    std::getline(words, task_, '\t');
    for (std::string word; std::getline(words, word, '\t');) {
      const auto equals = word.find('=');
      if (equals == std::string::npos) throw std::invalid_argument("not key=value: " + word);
      values_[word.substr(0, equals)] = word.substr(equals + 1);
    }
  }
  const std::string& task() const { return task_; }
  bool has(const std::string& key) const { return values_.contains(key); }
  const std::string& text(const std::string& key) const {
    const auto found = values_.find(key);
    if (found == values_.end()) throw std::invalid_argument(task_ + " lacks " + key + "=");
    return found->second;
  }
  int integer(const std::string& key, int otherwise) const { return has(key) ? std::stoi(text(key)) : otherwise; }
  double number(const std::string& key) const { return std::stod(text(key)); }
  std::vector<std::string> list(const std::string& key) const {
    std::vector<std::string> items;
    std::istringstream words(text(key));
    for (std::string word; std::getline(words, word, ',');) items.push_back(word);
    return items;
  }
  std::vector<double> numbers(const std::string& key) const {
    std::vector<double> items;
    for (const std::string& item : list(key)) items.push_back(std::stod(item));
    return items;
  }

 private:
  std::string task_;
  std::map<std::string, std::string> values_;
};

/// What one task delivered. `times`: of its pictures, in seconds of the container's clock; `values`: statistics, one a picture.
class Reply {
 public:
  explicit Reply(const Request& request) {
    if (request.has("out")) out_.open(request.text("out"), std::ios::binary);
  }
  /// Runs `work` under the clocks. `count` > 1: the work repeats inside, and the figures are of one repetition.
  void timed(const std::function<void()>& work, int count = 1) {
    const double cpu = clock_seconds(CLOCK_PROCESS_CPUTIME_ID), wall = clock_seconds(CLOCK_MONOTONIC);
    work();
    seconds_ = (clock_seconds(CLOCK_MONOTONIC) - wall) / count;
    cpu_ = (clock_seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) / count;
  }
  /// Makes the figures those of `share` of what was done.
  void scale(double share) { seconds_ *= share, cpu_ *= share; }
  bool checks() const { return out_.is_open(); }
  void write(const void* data, std::size_t size) { out_.write(static_cast<const char*>(data), static_cast<std::streamsize>(size)); }
  void write_rows(const void* data, std::ptrdiff_t stride, int width, int height) {
    for (int y = 0; y < height; ++y) write(static_cast<const char*>(data) + y * stride, static_cast<std::size_t>(width));
  }
  std::vector<double> times{}, values{};

  std::string json() {
    out_.close();
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    std::ostringstream text;
    text.precision(12);
    text << "{\"seconds\": " << seconds_ << ", \"cpu\": " << cpu_ << ", \"peak_rss_kb\": " << usage.ru_maxrss;
    append(text, "times", times);
    append(text, "values", values);
    text << "}";
    return text.str();
  }

 private:
  static void append(std::ostringstream& text, std::string_view name, const std::vector<double>& numbers) {
    text << ", \"" << name << "\": [";
    for (std::size_t i = 0; i < numbers.size(); ++i) text << (i ? ", " : "") << numbers[i];
    text << "]";
  }
  double seconds_ = 0, cpu_ = 0;
  std::ofstream out_;
};

using Task = std::function<void(const Request&, Reply&)>;

/// Answers requests on standard input until it ends.
inline int serve(const std::map<std::string, Task>& tasks) {
  for (std::string line; std::getline(std::cin, line);) {
    std::string answer;
    try {
      const Request request(line);
      const auto task = tasks.find(request.task());
      if (task == tasks.end()) throw std::invalid_argument("no task " + request.task());
      Reply reply(request);
      task->second(request, reply);
      answer = reply.json();
    } catch (const std::exception& error) {
      answer = "{\"error\": \"";
      for (const char* c = error.what(); *c; ++c)
        if (*c == '"' || *c == '\\') (answer += '\\') += *c;
        else answer += static_cast<unsigned char>(*c) < 0x20 ? ' ' : *c;
      answer += "\"}";
    }
    std::cout << answer << std::endl;
  }
  return 0;
}

}  // namespace side_by_side
