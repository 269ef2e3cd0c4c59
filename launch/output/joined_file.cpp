#include "launch/output/joined_file.h"

#include <unistd.h>

#include <iostream>
#include <random>
#include <utility>

#include "launch/failures/agree.h"
#include "launch/failures/errors.h"

namespace cllm {
namespace {

namespace fs = std::filesystem;

/// A file, or nothing yet.
bool may_be_replaced(const std::string& output) {
  std::error_code ignored;
  return output != "-" && (!fs::exists(output, ignored) || fs::is_regular_file(output, ignored));
}

}  // namespace

std::string scratch_name(Communicator& comm, const std::string& output, const std::string& folder) {
  std::string name;
  if (comm.rank() == 0) {
    std::random_device random;
    const std::string end = "." + std::to_string(random()) + std::to_string(random()) + ".tmp";
    const bool writable = ::access(folder.c_str(), W_OK) == 0;
    const fs::path apart = writable ? fs::path(folder) : fs::temp_directory_path();
    name = may_be_replaced(output) ? output + end : (apart / end).string();
  }
  return broadcast_string(comm, name, 0);
}

JoinedFile::JoinedFile(Communicator& comm, std::string output, const std::string& folder, std::string option)
    : comm_(comm), output_(std::move(output)), option_(std::move(option)),
      scratch_(scratch_name(comm, output_, folder)) {
  collectively(comm_, [&] {
    part_.open(part_path(comm_.rank()), std::ios::binary | std::ios::trunc);
    if (!part_) throw ConfigError("cannot write " + output_ + ": choose another " + option_);
  });
}

JoinedFile::~JoinedFile() {
  std::error_code ignored;
  fs::remove(part_path(comm_.rank()), ignored);
}

void JoinedFile::join() {
  const ConfigError no_room("cannot write " + output_ + ": make room, or choose another " + option_);
  collectively(comm_, [&] {
    part_.close();
    if (!part_) throw no_room;
  });
  collectively(comm_, [&] {
    if (comm_.rank() != 0) return;
    const bool renamed = may_be_replaced(output_);
    std::ofstream file;
    if (output_ != "-") file.open(renamed ? scratch_ : output_, std::ios::binary | std::ios::trunc);
    std::ostream& out = output_ == "-" ? std::cout : file;
    for (int rank = 0; rank < comm_.world_size(); ++rank) {
      std::ifstream in(part_path(rank), std::ios::binary);
      if (!in)
        throw ConfigError(part_path(rank) + " of rank " + std::to_string(rank) +
                          " is not seen by rank 0: " + "choose an " + option_ + " in a folder that all nodes share");
      if (in.peek() != std::ifstream::traits_type::eof()) out << in.rdbuf();
    }
    out.flush();
    std::error_code error;
    if (out && renamed) fs::rename(scratch_, output_, error);
    if (!out || error) {
      fs::remove(scratch_, error);
      throw no_room;
    }
  });
}

}  // namespace cllm
