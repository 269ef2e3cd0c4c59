#include "data/ingest/demo/demo_data.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <numeric>
#include <string>
#include <vector>

#include "data/errors.h"
#include "data/ingest/demo/demo_words.h"
#include "data/random.h"

namespace cllm {
namespace {

/// A person or a job: what decides both its text and its applications.
struct Profile {
  size_t profession = 0, title = 0, city = 0;
  std::vector<size_t> skills;  // of the profession, in the order in which the text names them
  double popularity = 0;       // of a job
};

/// How much each agreement adds to the log odds of an application. Chosen so that about 2/3 of the applications stay in
/// the profession.
constexpr double kSameProfession = 2.5, kSameTitle = 1.0, kSharedSkill = 0.7, kSameCity = 1.0, kPopularitySpread = 0.7;

enum Stream : uint64_t { kUsers, kItems, kChoices, kTexts };

Profile draw_profile(CounterRng& rng, size_t num_skills) {
  Profile profile;
  profile.profession = rng.below(kProfessions.size());
  profile.title = rng.below(kProfessions[0].titles.size());
  profile.city = rng.below(kCities.size());
  profile.popularity = kPopularitySpread * rng.normal();
  std::array<size_t, 12> skills;
  std::iota(skills.begin(), skills.end(), size_t{0});
  rng.shuffle(std::span<size_t>(skills));
  profile.skills.assign(skills.begin(), skills.begin() + static_cast<std::ptrdiff_t>(num_skills));
  return profile;
}

std::vector<Profile> draw_profiles(int64_t count, size_t num_skills, uint64_t seed, Stream stream) {
  std::vector<Profile> profiles;
  for (int64_t n = 0; n < count; ++n) {
    CounterRng rng(stream_key(seed, Purpose::kDemoData, stream, static_cast<uint64_t>(n)));
    profiles.push_back(draw_profile(rng, num_skills));
  }
  return profiles;
}

double affinity(const Profile& user, const Profile& job) {
  double sum = job.popularity + (user.city == job.city ? kSameCity : 0);
  if (user.profession != job.profession) return sum;
  sum += kSameProfession + (user.title == job.title ? kSameTitle : 0);
  for (const size_t skill : job.skills) {
    if (std::find(user.skills.begin(), user.skills.end(), skill) != user.skills.end()) sum += kSharedSkill;
  }
  return sum;
}

/// Distinct jobs in order of time: the largest of (affinity + Gumbel noise) are a sample without replacement from
/// softmax(affinity).
std::vector<size_t> choose_jobs(const Profile& user, const std::vector<Profile>& jobs, size_t count, CounterRng& rng) {
  std::vector<std::pair<double, size_t>> scores;
  for (size_t job = 0; job < jobs.size(); ++job) {
    scores.emplace_back(affinity(user, jobs[job]) - std::log(-std::log(rng.uniform() + 1e-300) + 1e-300), job);
  }
  const auto end = scores.begin() + static_cast<std::ptrdiff_t>(std::min(count, scores.size()));
  std::partial_sort(scores.begin(), end, scores.end(), std::greater<>());
  std::vector<size_t> chosen;
  for (auto at = scores.begin(); at != end; ++at) chosen.push_back(at->second);
  rng.shuffle(std::span(chosen));  // the time of an application says nothing about how well it fits
  return chosen;
}

/// At least 3; exponential above that, so that many users are nearly cold and a few are very active.
size_t draw_count(double mean, CounterRng& rng) {
  return 3 + static_cast<size_t>(-std::log(1.0 - rng.uniform()) * std::max(0.0, mean - 3));
}

std::string listing(const Profile& profile, size_t count) {
  const auto& words = kProfessions[profile.profession].skills;
  std::string text(words[profile.skills[0]]);
  for (size_t n = 1; n < count; ++n)
    text += std::string(n + 1 == count ? " and " : ", ") + std::string(words[profile.skills[n]]);
  return text;
}

std::string title(const Profile& profile) {
  return std::string(kProfessions[profile.profession].titles[profile.title]);
}

std::string with_article(const std::string& noun) {
  return (std::string_view("aeiou").find(noun[0]) == std::string_view::npos ? "a " : "an ") + noun;
}

std::string biography(const Profile& user, CounterRng& rng) {
  return "I am " + with_article(title(user)) + " from " + std::string(kCities[user.city]) + " with " +
         std::to_string(2 + rng.below(20)) + " years in " + std::string(kProfessions[user.profession].field) + ". At " +
         std::string(kCompanies[rng.below(kCompanies.size())]) + " I worked on " + listing(user, 5) + ".";
}

std::string job_text(const Profile& job, CounterRng& rng) {
  std::string name = title(job);
  name[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(name[0])));
  return name + " wanted in " + std::string(kCities[job.city]) + ". " +
         std::string(kCompanies[rng.below(kCompanies.size())]) + " offers a position in " +
         std::string(kProfessions[job.profession].field) + ". You bring experience with " + listing(job, 4) + ".";
}

std::string note(const Profile& user, const Profile& job) {
  const std::string place =
      user.city == job.city ? "close to where I live" : "worth moving to " + std::string(kCities[job.city]);
  return "I applied as " + with_article(title(job)) + " because I like " + listing(job, 2) + ", and it is " + place +
         ".";
}

std::string raw_id(const char* prefix, size_t number) {
  char id[32];
  std::snprintf(id, sizeof id, "%s%06zu", prefix, number);
  return id;
}

/// A TSV file with a header; a failed write is an error when it is closed.
class Table {
 public:
  Table(const std::filesystem::path& path, const std::string& header) : path_(path), out_(path) {
    out_ << header << '\n';
  }
  template <typename... Fields>
  void row(const std::string& first, const Fields&... fields) {
    out_ << first;
    ((out_ << '\t' << fields), ...);
    out_ << '\n';
  }
  void close() {
    out_.close();
    if (!out_) throw DataError(path_.string() + ": cannot write (no permission, or the disk is full?)");
  }

 private:
  std::filesystem::path path_;
  std::ofstream out_;
};

template <typename Describe>
void write_profiles(const std::filesystem::path& path, const std::string& header, const char* prefix,
                    const std::vector<Profile>& profiles, Describe describe) {
  Table table(path, header);
  for (size_t n = 0; n < profiles.size(); ++n) table.row(raw_id(prefix, n), describe(n));
  table.close();
}

}  // namespace

void make_demo_data(const std::filesystem::path& dir, const DemoOptions& options) {
  if (options.users < 1 || options.items < 3 || !(options.applications >= 3)) {
    throw DataError("demo data: at least 1 user, 3 items and 3 applications per user are needed");
  }
  if (std::filesystem::exists(dir) && !std::filesystem::is_empty(dir))
    throw DataError(dir.string() + ": exists already and is not empty");
  std::filesystem::create_directories(dir);
  constexpr size_t kUserSkills = 6, kJobSkills = 4;
  const auto users = draw_profiles(options.users, kUserSkills, options.seed, kUsers);
  const auto jobs = draw_profiles(options.items, kJobSkills, options.seed, kItems);
  const auto text_rng = [&](Stream of, size_t n) {
    return CounterRng(stream_key(options.seed, Purpose::kDemoData, kTexts, 2 * n + of));
  };
  write_profiles(dir / "users.tsv", "user\ttext", "user-", users, [&](size_t n) {
    CounterRng rng = text_rng(kUsers, n);
    return biography(users[n], rng);
  });
  write_profiles(dir / "items.tsv", "item\ttext", "job-", jobs, [&](size_t n) {
    CounterRng rng = text_rng(kItems, n);
    return job_text(jobs[n], rng);
  });
  Table interactions(dir / "interactions.tsv", "user\titem\torder"), texts(dir / "texts.tsv", "user\titem\ttext");
  for (size_t user = 0; user < users.size(); ++user) {
    CounterRng rng(stream_key(options.seed, Purpose::kDemoData, kChoices, user));
    const size_t count = draw_count(options.applications, rng);
    int order = 0;
    for (const size_t job : choose_jobs(users[user], jobs, count, rng)) {
      interactions.row(raw_id("user-", user), raw_id("job-", job), order++);
      if (rng.uniform() < options.notes)
        texts.row(raw_id("user-", user), raw_id("job-", job), note(users[user], jobs[job]));
    }
  }
  interactions.close();
  texts.close();
}

}  // namespace cllm
