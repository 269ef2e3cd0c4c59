#include "model/recommenders/cllm4rec/collate.h"

#include <gmock/gmock.h>

#include <map>
#include <numeric>
#include <set>
#include <stdexcept>

#include "data/text/prompt.h"
#include "tests/data/text/shared_files.h"

namespace cllm {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;

/// One loss case of the golden index as sequences and group totals.
class GoldenCase {
 public:
  GoldenCase(const json& index, const json& test) : options_(parse_preset(test.at("preset").get<std::string>())) {
    const json& sizes = index.at("sizes");
    vocabulary_ = {sizes.at("n_words"), sizes.at("n_users"), sizes.at("n_items")};
    const std::string letter = test.at("kind");
    kind_ = letter == "L" ? StepKind::kCollaborative : letter == "C" ? StepKind::kContent : StepKind::kRecommendation;
    const json& batch = index.at("batches").at(test.at("batch").get<std::string>());
    const json& groups = test.at("groups");
    totals_.terms.resize(groups.size());
    for (size_t g = 0; g < groups.size(); ++g)
      for (const json& n : groups[g]) add(index, batch.at(n.get<size_t>()), static_cast<int32_t>(g));
  }

  RecBatch collated(std::span<const Sequence> mine) const {
    return collate(mine, kind_, totals_, vocabulary_, options_);
  }
  const std::vector<Sequence>& sequences() const { return sequences_; }
  const GroupTotals& totals() const { return totals_; }
  const LossOptions& options() const { return options_; }
  StepKind kind() const { return kind_; }
  const Vocabulary& vocabulary() const { return vocabulary_; }

 private:
  void add(const json& index, const json& sample, int32_t group) {
    Sequence sequence{.group = group, .key = sequences_.size()};
    if (kind_ == StepKind::kRecommendation) {
      std::vector<int32_t> visible = sample.at("visible"), held_out = sample.at("held_out");
      const char* name = options_.rec_prompt == RecPrompt::kPaper ? "rec_paper" : "rec_release";
      sequence.prompt = template_of(index.at("templates").at(name)).fill(vocabulary_, sample.at("user"), -1, visible);
      std::set<int32_t> targets(held_out.begin(), held_out.end());
      if (options_.finetune_targets == FinetuneTargets::kAllTrain) targets.insert(visible.begin(), visible.end());
      sequence.targets.assign(targets.begin(), targets.end());
    } else {
      sequence.prompt = sample.at("prompt").get<std::vector<int32_t>>();
      sequence.main = sample.at("main").get<std::vector<int32_t>>();
    }
    totals_.terms[static_cast<size_t>(group)] +=
        num_loss_terms(kind_, options_, static_cast<int64_t>(sequence.main.size()));
    sequences_.push_back(std::move(sequence));
  }

  static PromptTemplate template_of(const json& pieces) {
    std::vector<PromptPiece> list;
    for (const json& piece : pieces) {
      if (piece.is_number()) {
        list.push_back({PromptPiece::Kind::kWord, piece});
      } else {
        list.push_back({piece == "user"   ? PromptPiece::Kind::kUser
                        : piece == "item" ? PromptPiece::Kind::kItem
                                          : PromptPiece::Kind::kItems});
      }
    }
    return PromptTemplate(std::move(list));
  }

  LossOptions options_;
  Vocabulary vocabulary_;
  StepKind kind_ = StepKind::kCollaborative;
  std::vector<Sequence> sequences_;
  GroupTotals totals_;
};

/// The reference once more, as directly as its Python: (token position, target) -> weight, and (group, row) -> count.
struct Expected {
  std::map<std::pair<int64_t, int64_t>, double> weights;
  std::map<std::pair<int32_t, int32_t>, int32_t> covered;
};

Expected expected_of(const GoldenCase& test) {
  Expected expected;
  const LossOptions& options = test.options();
  const double groups = static_cast<double>(test.totals().terms.size());
  int64_t start = 0;
  for (const Sequence& s : test.sequences()) {
    const double terms = static_cast<double>(test.totals().terms[static_cast<size_t>(s.group)]);
    std::vector<int32_t> covered = s.prompt;
    const int64_t prompt_end = start + static_cast<int64_t>(s.prompt.size());
    if (test.kind() == StepKind::kRecommendation) {
      const double weight = 1 / groups / (options.finetune_reduction == FinetuneReduction::kUserMean ? terms : 1);
      for (const int32_t item : s.targets) {
        expected.weights[{prompt_end - 1, item}] += weight;
        if (options.finetune_mr == FinetuneMr::kPromptAndTargets) covered.push_back(test.vocabulary().item_token(item));
      }
    } else {
      const double weight = 1 / groups / (options.lm_reduction == LmReduction::kTokenMean ? terms : 1);
      const bool words = test.kind() == StepKind::kContent;
      for (int64_t k = options.train_first_main_token ? 0 : 1; k < static_cast<int64_t>(s.main.size()); ++k) {
        const int64_t token = s.main[static_cast<size_t>(k)];
        expected.weights[{prompt_end + k - 1, words ? token : token - test.vocabulary().item_token(0)}] += weight;
      }
      if (!words) covered.insert(covered.end(), s.main.begin(), s.main.end());
    }
    for (const int32_t token : covered)
      if (token >= test.vocabulary().num_words)
        ++expected.covered[{s.group, token - static_cast<int32_t>(test.vocabulary().num_words)}];
    start = prompt_end + static_cast<int64_t>(s.main.size());
  }
  return expected;
}

void expect_equal(const RecBatch& batch, const Expected& expected, const std::string& name) {
  std::map<std::pair<int64_t, int64_t>, double> weights;
  for (size_t a = 0; a < batch.active_rows.size(); ++a) {
    for (int32_t k = batch.target_offsets[a]; k < batch.target_offsets[a + 1]; ++k)
      weights[{batch.active_rows[a], batch.targets[static_cast<size_t>(k)]}] +=
          batch.target_weights[static_cast<size_t>(k)];
  }
  ASSERT_EQ(weights.size(), expected.weights.size()) << name;
  for (const auto& [place, weight] : expected.weights) EXPECT_DOUBLE_EQ(weights[place], weight) << name;
  std::map<std::pair<int32_t, int32_t>, int32_t> covered;
  for (const CoveredRow& row : batch.mr.covered)
    EXPECT_TRUE(covered.emplace(std::pair{row.group, row.row}, row.count).second) << name;
  EXPECT_EQ(covered, expected.covered) << name;
}

TEST(Collate, AgreesWithTheReferenceInEveryGoldenCase) {
  const json index = testing::shared_json("golden/cllm4rec/index.json");
  int cases = 0;
  for (const json& test : index.at("losses")) {
    const GoldenCase golden(index, test);
    const RecBatch batch = golden.collated(golden.sequences());
    expect_equal(batch, expected_of(golden), test.at("name"));
    const bool distinct = golden.options().mr_scale == MrScale::kHalfPerDistinctId;
    EXPECT_EQ(batch.mr.once_per_group, distinct);
    EXPECT_EQ(batch.mr.scale, distinct ? 0.5 : 1.0);
    EXPECT_EQ(batch.num_groups, static_cast<int64_t>(test.at("groups").size()));
    ++cases;
  }
  EXPECT_GE(cases, 100);
}

TEST(Collate, MeanWeightsOfAGroupSumToItsShare) {
  const json index = testing::shared_json("golden/cllm4rec/index.json");
  for (const json& test : index.at("losses")) {
    const GoldenCase golden(index, test);
    if (golden.kind() == StepKind::kRecommendation || golden.options().lm_reduction == LmReduction::kTokenSum) continue;
    const RecBatch batch = golden.collated(golden.sequences());
    const double sum = std::accumulate(batch.target_weights.begin(), batch.target_weights.end(), 0.0);
    const auto& terms = golden.totals().terms;  // a group without active tokens counts in the mean with 0
    const double live =
        static_cast<double>(terms.size()) - static_cast<double>(std::count(terms.begin(), terms.end(), 0));
    EXPECT_NEAR(sum, live / static_cast<double>(terms.size()), 1e-12) << test.at("name");
  }
}

TEST(Collate, SharesOfRanksAddUpToTheWhole) {
  const json index = testing::shared_json("golden/cllm4rec/index.json");
  for (const json& test : index.at("losses")) {
    const GoldenCase golden(index, test);
    const std::vector<Sequence>& all = golden.sequences();
    const RecBatch whole = golden.collated(all);
    std::vector<double> weights;
    std::map<std::pair<int32_t, int32_t>, int32_t> covered;
    for (size_t n = 0; n < all.size(); ++n) {  // every sequence on its own rank
      const RecBatch part = golden.collated(std::span(all).subspan(n, 1));
      weights.insert(weights.end(), part.target_weights.begin(), part.target_weights.end());
      for (const CoveredRow& row : part.mr.covered) covered[{row.group, row.row}] += row.count;
    }
    EXPECT_EQ(weights, whole.target_weights) << test.at("name");
    EXPECT_EQ(covered.size(), whole.mr.covered.size());
    for (const CoveredRow& row : whole.mr.covered) EXPECT_EQ((covered[{row.group, row.row}]), row.count);
  }
}

TEST(Collate, PacksSequencesAfterEachOther) {
  const Vocabulary vocabulary{10, 2, 3};
  const std::vector<Sequence> sequences = {{.prompt = {10, 5}, .main = {12, 14}, .key = 7},
                                           {.prompt = {11, 5}, .main = {13}, .key = 8}};
  const RecBatch batch = collate(sequences, StepKind::kCollaborative, {{3}}, vocabulary, LossOptions::paper());
  EXPECT_THAT(batch.token_ids, ElementsAre(10, 5, 12, 14, 11, 5, 13));
  EXPECT_THAT(batch.sequence_offsets, ElementsAre(0, 4, 7));
  EXPECT_THAT(batch.sequence_keys, ElementsAre(7, 8));
  EXPECT_THAT(batch.active_rows, ElementsAre(1, 2, 5));
  EXPECT_THAT(batch.targets, ElementsAre(0, 2, 1));
  EXPECT_THAT(batch.target_offsets, ElementsAre(0, 1, 2, 3));
}

TEST(Collate, WeightsPerUserAreSharedByTheUsersPositions) {
  const Vocabulary vocabulary{10, 2, 3};
  const std::vector<Sequence> sequences = {{.prompt = {10, 5}, .main = {12, 14}, .key = 7},
                                           {.prompt = {11, 5}, .main = {13}, .key = 8}};
  ObjectiveOptions objective;
  objective.label_weight = LabelWeight::kUser;
  int64_t users = 0;
  for (const Sequence& sequence : sequences)
    users += num_loss_terms(StepKind::kCollaborative, LossOptions::paper(), std::ssize(sequence.main), objective);
  EXPECT_EQ(users, 2);
  const RecBatch batch =
      collate(sequences, StepKind::kCollaborative, {{users}}, vocabulary, LossOptions::paper(), objective);
  EXPECT_THAT(batch.target_weights, ElementsAre(0.25, 0.25, 0.5));
  // Without the first position (release) the second user has none, and the first has one.
  LossOptions later = LossOptions::paper();
  later.train_first_main_token = false;
  const RecBatch fewer = collate(sequences, StepKind::kCollaborative, {{1}}, vocabulary, later, objective);
  EXPECT_THAT(fewer.target_weights, ElementsAre(1.0));
}

TEST(Collate, ARankWithoutSequencesGetsAnEmptyBatch) {
  const RecBatch batch = collate({}, StepKind::kContent, {{5, 5}}, {10, 2, 3}, LossOptions::paper());
  EXPECT_EQ(batch.num_sequences(), 0);
  EXPECT_EQ(batch.num_groups, 2);
  EXPECT_THAT(batch.target_offsets, ElementsAre(0));
}

TEST(Collate, RefusesMixedMainTextsAndForeignTargets) {
  const Vocabulary vocabulary{10, 2, 3};
  const auto run = [&](const Sequence& sequence, StepKind kind) {
    return collate(std::span(&sequence, 1), kind, {{1}}, vocabulary, LossOptions::paper());
  };
  EXPECT_THROW(run({.prompt = {10}, .main = {12, 4}}, StepKind::kCollaborative), std::invalid_argument);
  EXPECT_THROW(run({.prompt = {10}, .main = {12}}, StepKind::kContent), std::invalid_argument);
  EXPECT_THROW(run({.prompt = {10}, .targets = {3}}, StepKind::kRecommendation), std::invalid_argument);
  EXPECT_THROW(run({.prompt = {10}, .main = {12}, .targets = {1}}, StepKind::kRecommendation), std::invalid_argument);
  EXPECT_THROW(run({.prompt = {10}, .main = {12}, .group = 1}, StepKind::kCollaborative), std::invalid_argument);
}

}  // namespace
}  // namespace cllm
