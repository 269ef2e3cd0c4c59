#include "launch/config/written.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "launch/failures/errors.h"

namespace cllm {
namespace {

using ::testing::HasSubstr;

/// What `setting` prints after this override of it.
std::string written_and_printed(const Setting& setting, const std::string& value) {
  const std::vector<std::string> overrides = {setting.key + "=" + value};
  const WrittenSettings written("", overrides);
  assign(written.all().front(), setting);
  return printed(setting);
}

TEST(Written, AListOfTextsReadsBackAlsoWhenItIsEmpty) {
  std::vector<std::string> list;
  const Setting setting{"a.list", &list, ""};
  for (const char* text : {"[]", "['a', 'b c']", "['']"}) EXPECT_EQ(written_and_printed(setting, text), text);
  EXPECT_THROW(written_and_printed(setting, "[1]"), ConfigError);
  EXPECT_THROW(written_and_printed(setting, "['a', 1]"), ConfigError);
}

enum class Fruit { kApple, kPear };

TEST(Written, AnEnumIsSetAndPrintedByItsName) {
  Fruit fruit = Fruit::kApple;
  const Setting setting = enum_setting("a.fruit", &fruit, "", {{"apple", Fruit::kApple}, {"pear", Fruit::kPear}});
  EXPECT_EQ(written_and_printed(setting, "pear"), "'pear'");
  EXPECT_EQ(fruit, Fruit::kPear);
  try {
    written_and_printed(setting, "plum");
    ADD_FAILURE() << "plum was accepted";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("--a.fruit: a.fruit = 'plum': expected one of the names (apple | pear)"));
  }
}

}  // namespace
}  // namespace cllm
